"""Kinds of files that rows or documents are read from, by the end of their names.

A kind is a module here, or one of the user's own (`extensions`), that registers a `FileKind`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from musicllm.files.misfit import Entry
from musicllm.files.pieces import Piece
from musicllm.registry import Registry

COMPRESSIONS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz", ".zst": "zst"}


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        name: by which `data.sources.<name>.kinds` and pieces name it.
        suffixes: in lower case, such as `.jsonl`.
        read: yields the entries of a piece, in order. Its arguments are the stream of bytes (see
            `opening.Opener`), the piece, and the columns to read where columns are stored apart
            (None: all).
        cut: cuts a plain file into pieces; None reads it as a whole.
        is_compressible: whether it may be compressed as a whole, as in `.jsonl.gz`.
        record_format: key of `data.sources.formats.FORMATS` where a file holds documents, not rows
            with fields of any names.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[IO[bytes], Piece, Collection[str] | None], Iterator[Entry]]
    cut: Callable[[Path, Piece], Iterator[Piece]] | None = None
    is_compressible: bool = True
    record_format: str | None = None


KINDS: Registry[FileKind] = Registry("file", __name__)


def kind_of(name: str) -> tuple[FileKind, str] | None:
    """Return kind and compression (or an empty string) of a file; None where there is none."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    if compression:
        suffixes.pop()
    for kind in KINDS.values() if suffixes else ():
        if suffixes[-1] in kind.suffixes and (kind.is_compressible or not compression):
            return kind, compression
    return None


def is_data(name: str) -> bool:
    """Whether a file can be read, or is a zip, which may hold some that can."""
    return kind_of(name) is not None or name.lower().endswith(".zip")


def readable_suffixes() -> str:
    """Return which files can be read, for messages."""
    kinds = {suffix: kind for kind in KINDS.values() for suffix in kind.suffixes}
    plain = " and ".join(suffix for suffix, kind in kinds.items() if not kind.is_compressible)
    return (
        f"{', '.join(kinds)} (all but {plain} also with {', '.join(COMPRESSIONS)} behind), and "
        ".zip of these"
    )
