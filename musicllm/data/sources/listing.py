"""Which files a location holds: a folder, a file or a zip."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from musicllm.data.sources.opening import naming
from musicllm.data.sources.parts import Piece
from musicllm.data.sources.suffixes import UNDERSTOOD, kind_of
from musicllm.errors import InputError

Choose = Callable[[Sequence[str]], Sequence[str]]

_COMPRESSED_TO_PLAIN = 4
"""How much larger text gets when it is unpacked, roughly; only the sizes of parts depend on it."""


@dataclass
class Listing:
    """The files of a location that are understood.

    Attributes:
        root: folder that names are relative to.
        pieces: whole files and zip members, by name.
        ignored: how many files were left out, by suffix.
    """

    root: Path
    pieces: list[Piece] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, num_bytes: int, member: str = "") -> None:
        """Take a file or a member of a zip, or count it as ignored."""
        if (kind := kind_of(member or name)) is None:
            self.ignored[PurePosixPath(member or name).suffix or "without suffix"] += 1
            return
        size = num_bytes * _COMPRESSED_TO_PLAIN if kind[1] else num_bytes
        self.pieces.append(Piece(name, *kind, member, num_bytes=size))


def list_files(location: Path, key: str, choose: Choose = list) -> Listing:
    """List a file, a zip, or a folder with all folders below; hidden ones are passed over.

    Args:
        location: where to look.
        key: the setting that names it, for messages.
        choose: picks among the names of the files in a folder.

    Raises:
        InputError: there is nothing, or nothing that is understood, or a zip is not safe.
    """
    if not location.exists():
        raise InputError(f"{key}={location} is not there; give a file or a folder")
    listing = Listing(location if location.is_dir() else location.parent)
    names = sorted(_visible(location)) if location.is_dir() else [location.name]
    chosen = set(choose(names))
    for name in names:
        path = listing.root / name
        if name not in chosen:
            listing.ignored[path.suffix or "without suffix"] += 1
        elif path.suffix.lower() == ".zip":
            for member in _members(path):
                listing.add(name, member.file_size, member.filename)
        else:
            listing.add(name, path.stat().st_size)
    if not listing.pieces:
        found = ", ".join(f"{count} {suffix}" for suffix, count in listing.ignored.most_common(5))
        raise InputError(
            f"{key}={location} holds no file that can be read (found: {found or 'nothing'}); "
            f"understood are {UNDERSTOOD}"
        )
    return listing


def _visible(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        prefix = Path(parent).relative_to(folder).as_posix() + "/"
        for name in files:
            if not name.startswith("."):
                yield (prefix + name).removeprefix("./")


def _members(path: Path) -> list[zipfile.ZipInfo]:
    with naming(path), zipfile.ZipFile(path) as file:
        members = sorted(file.infolist(), key=lambda member: member.filename)
    wanted = []
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if ".." in parts or member.filename.startswith(("/", "\\")) or ":" in parts[0]:
            raise InputError(f"{path} has a member that points out of it: {member.filename}")
        if member.flag_bits & 1:
            raise InputError(f"{path} is encrypted ({member.filename}); unpack it yourself first")
        if not member.is_dir() and not any(part.startswith((".", "__MACOSX")) for part in parts):
            wanted.append(member)
    return wanted
