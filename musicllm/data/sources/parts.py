"""Parts of a source: some pieces of its files, which one process reads at a time.

Parts are small, picklable and in a fixed order. Nothing is opened here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from musicllm.files import pieces
from musicllm.files.pieces import Piece

PART_PIECES = 2048
"""Files in a part at most, so that parts of very small files stay small when pickled."""


@dataclass(frozen=True)
class Choice:
    """Which rows of a source are read.

    Attributes:
        where: fields and a text that each must contain.
        min_chars: fewest characters of a record's texts; None sets no limit.
    """

    where: tuple[tuple[str, str], ...] = ()
    min_chars: int | None = None


@dataclass(frozen=True)
class Part:
    """What one process reads at a time: about `PIECE_BYTES` of a source.

    Attributes:
        source: what its records carry. A prepared corpus's records keep their own.
        root: folder that the pieces' names are relative to.
        format: key of `formats.FORMATS`.
        pieces: read in this order.
        limit: only so many records and drops, without those that `choice` leaves out; None is all.
        split: that the source gives its records; None where the preparation chooses.
        closed: splits that the source gives itself, for which none of these is chosen.
        is_corpus: of a prepared corpus, whose records keep what they have.
        choice: which of the rows are read.
    """

    source: str
    root: Path
    format: str
    pieces: tuple[Piece, ...]
    limit: int | None = None
    split: str | None = None
    closed: tuple[str, ...] = ()
    is_corpus: bool = False
    choice: Choice = Choice()

    @property
    def num_bytes(self) -> int:
        """About how large, before compression."""
        return sum(piece.num_bytes for piece in self.pieces)


def group(files: Iterable[tuple[str, Piece]]) -> Iterator[tuple[str, tuple[Piece, ...]]]:
    """Put neighbours of one format together until they reach the size of a part.

    Args:
        files: format and piece, in order.

    Yields:
        The format and the pieces of a part.
    """
    gathered: list[Piece] = []
    size, gathered_format = 0, ""
    for record_format, piece in files:
        is_full = size + piece.num_bytes > pieces.PIECE_BYTES or len(gathered) == PART_PIECES
        if gathered and (is_full or record_format != gathered_format):
            yield gathered_format, tuple(gathered)
            gathered, size = [], 0
        gathered_format = record_format
        gathered.append(piece)
        size += piece.num_bytes
    if gathered:
        yield gathered_format, tuple(gathered)
