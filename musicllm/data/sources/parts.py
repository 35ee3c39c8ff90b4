"""Stretches of files: what a source is cut into, so that many processes can read it.

Parts are small, picklable and in a fixed order. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from musicllm.contents import printable

PART_BYTES = 8 << 20
"""About what a part holds, before compression."""

PART_PIECES = 2048
"""Files in a part at most, so that parts of very small files stay small when pickled."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, a member of a zip, or a stretch of either.

    Attributes:
        name: path relative to the part's root, with `/`.
        kind: how it is read, a value of `suffixes.KINDS`.
        compression: `gz`, `bz2`, `xz`, `zst`, or empty.
        member: name inside the zip `name`; empty for plain files.
        start: first byte (lines) or first row group (parquet).
        stop: where it ends, exclusive; None reads to the end.
        first: number of its first line or row within the file, from 1.
        num_bytes: about how large, before compression.
        list_name: of the list in a JSON object that is read; empty for all lists.
    """

    name: str
    kind: str
    compression: str = ""
    member: str = ""
    start: int = 0
    stop: int | None = None
    first: int = 1
    num_bytes: int = 0
    list_name: str = ""

    @property
    def place(self) -> str:
        """The file as ids and messages name it, such as `tunes.zip/reels/1.abc`."""
        return printable(f"{self.name}/{self.member}" if self.member else self.name)


@dataclass(frozen=True)
class Part:
    """What one process reads at a time: about `PART_BYTES` of a source.

    Attributes:
        source: what its records carry. A prepared corpus's records keep their own.
        root: folder that the pieces' names are relative to.
        format: key of `formats.FORMATS`.
        pieces: read in this order.
        limit: only so many records and drops; None is all.
        split: that the source gives its records; None where the preparation chooses.
        closed: splits that the source gives itself, for which none of these is chosen.
        is_corpus: of a prepared corpus, whose records keep what they have.
    """

    source: str
    root: Path
    format: str
    pieces: tuple[Piece, ...]
    limit: int | None = None
    split: str | None = None
    closed: tuple[str, ...] = ()
    is_corpus: bool = False

    @property
    def num_bytes(self) -> int:
        """About how large, before compression."""
        return sum(piece.num_bytes for piece in self.pieces)


def group(pieces: Iterable[tuple[str, Piece]]) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """Put neighbours of one format together until they reach the size of a part.

    Args:
        pieces: format and piece, in order.

    Yields:
        The format and the pieces of a part.
    """
    gathered: list[Piece] = []
    size, current = 0, ""
    for name, piece in pieces:
        is_full = size + piece.num_bytes > PART_BYTES or len(gathered) == PART_PIECES
        if gathered and (is_full or name != current):
            yield current, tuple(gathered)
            gathered, size = [], 0
        current = name
        gathered.append(piece)
        size += piece.num_bytes
    if gathered:
        yield current, tuple(gathered)
