"""Which files a location holds: a folder, a file or a zip.

What is not read is counted, with the reason: a kind that is not supported or not selected, what
libraries and people write about a data set (a licence, a readme), hidden files.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from musicllm import contents
from musicllm.errors import InputError
from musicllm.files.kinds import kind_of, readable_suffixes
from musicllm.files.opening import naming_damage
from musicllm.files.pieces import Piece

Choose = Callable[[Sequence[str]], Sequence[str]]
"""Picks among the names of files."""

_COMPRESSED_TO_PLAIN = 4
"""How much larger text gets when it is unpacked, roughly; only the sizes of parts depend on it."""


_ABOUT_TEXTS = (
    "readme", "license", "licence", "copying", "notice", "changelog", "citation", "authors",
)  # fmt: skip
"""How names of texts begin, up to a dot, that are about data and not data."""

ABOUT_JSON = ("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json")
"""What `datasets` writes beside data."""

_HUB_CACHE = ".cache"
"""What a download leaves beside the files of a data set; see `hub`."""


@dataclass
class Listing:
    """The files of a location that can be read.

    Attributes:
        root: folder that names are relative to.
        kinds: of files to read, keys of `KINDS`; empty for all.
        pieces: whole files and zip members, by name.
        about: likewise, those that by their names are not data.
        ignored: how many files were left out, by suffix or reason.
    """

    root: Path
    kinds: Collection[str] = ()
    pieces: list[Piece] = field(default_factory=list)
    about: list[Piece] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, num_bytes: int, member: str = "") -> None:
        """Take a file or a member of a zip, or count it as ignored."""
        path = PurePosixPath(member or name)
        match = kind_of(str(path))
        if match is None or (self.kinds and match[0].name not in self.kinds):
            reason = f" (not {', '.join(self.kinds)})" if match else ""
            self.ignored[f"{path.suffix or 'without suffix'}{reason}"] += 1
            return
        kind, compression = match[0].name, match[1]
        size = num_bytes * _COMPRESSED_TO_PLAIN if compression else num_bytes
        stem = path.name.lower().partition(".")[0]
        is_about = path.name in ABOUT_JSON or (kind == "txt" and stem in _ABOUT_TEXTS)
        pieces = self.about if is_about else self.pieces
        pieces.append(Piece(name, kind, compression, member, num_bytes=size))

    def settle(self) -> None:
        """Leave out what is not data, unless there is nothing else."""
        if not self.pieces:
            self.pieces, self.about = self.about, []
        for piece in self.about:
            self.ignored[f"{PurePosixPath(piece.place).name} (about the data)"] += 1


def list_files(
    location: Path, key: str, choose: Choose = list, kinds: Collection[str] = ()
) -> Listing:
    """List a file, a zip, or a folder with all folders below; hidden ones are passed over.

    Args:
        location: where to look.
        key: the setting that names it, for messages.
        choose: picks among the names of the files in a folder.
        kinds: of files to read, keys of `KINDS`; empty for all.

    Raises:
        InputError: there is nothing, or nothing that can be read, or a zip is not safe.
    """
    if not location.exists():
        raise InputError(f"{key}={location} is not there; give a file or a folder")
    listing = Listing(location if location.is_dir() else location.parent, kinds)
    names = sorted(_visible(location, listing.ignored)) if location.is_dir() else [location.name]
    choice, strays = set(choose(names)), set(_strays(listing.root, names))
    for name in names:
        path = listing.root / name
        if name in strays:
            listing.ignored[f"{path.suffix} (of no saved data set)"] += 1
        elif name not in choice:
            listing.ignored[path.suffix or "without suffix"] += 1
        elif path.suffix.lower() == ".zip":
            for member in _members(path):
                listing.add(name, member.file_size, member.filename)
        else:
            listing.add(name, path.stat().st_size)
    listing.settle()
    if not listing.pieces:
        ignored = ", ".join(f"{count} {suffix}" for suffix, count in listing.ignored.most_common(5))
        raise InputError(
            f"{key}={location} holds no file that can be read (found: {ignored or 'nothing'}); "
            f"supported are {readable_suffixes()}"
        )
    return listing


def _visible(folder: Path, ignored: Counter[str]) -> Iterator[str]:
    """Yield the names of files; count hidden ones, broken links and folders linked to again."""

    def count(name: str, reason: str) -> None:
        ignored[reason] += name != _HUB_CACHE

    for name, _ in contents.visible(folder, count):
        if any(map(_is_hidden, PurePosixPath(name).parts)):
            count(name, "hidden")
        else:
            yield name


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _strays(root: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield Arrow files that do not belong to the data set that `datasets` saved beside them.

    `Dataset.save_to_disk` lists its files in `state.json`; caches of later work lie there, too.
    """
    for state in (root / name for name in names if PurePosixPath(name).name == "state.json"):
        try:
            listed = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
            own = {
                (state.parent / file["filename"]).relative_to(root).as_posix() for file in listed
            }
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a file of another program
        folder = state.parent.relative_to(root)
        for name in names:
            path = PurePosixPath(name)
            if path.parent == PurePosixPath(folder) and path.suffix == ".arrow" and name not in own:
                yield name


def _members(path: Path) -> list[zipfile.ZipInfo]:
    with naming_damage(path), zipfile.ZipFile(path) as file:
        members = sorted(file.infolist(), key=lambda member: member.filename)
    visible = []
    for member in members:
        parts = PurePosixPath(member.filename).parts
        if ".." in parts or member.filename.startswith(("/", "\\")) or ":" in parts[0]:
            raise InputError(f"{path} has a member that points out of it: {member.filename}")
        if member.flag_bits & 1:
            raise InputError(f"{path} is encrypted ({member.filename}); unpack it yourself first")
        if not member.is_dir() and not any(map(_is_hidden, parts)):
            visible.append(member)
    return visible
