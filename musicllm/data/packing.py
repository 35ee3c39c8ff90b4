"""Row formers: which documents share a row. They see lengths only, never tokens.

A row is a list of pieces, and a piece is a stretch of one document. A document is cut only when it
is longer than a row (`pack`, `single`) or when it meets the end of a row (`chunk`). The last token
of a piece is repeated as the first of the next one: it is context there and not supervised, so
every token of a document but its first is predicted exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """The tokens `start` to `stop` of a document."""

    document: int
    start: int
    stop: int


Rows = list[list[Piece]]


def pack(lengths: Sequence[int], max_length: int) -> Rows:
    """Fill rows by best fit, longest piece first.

    Every piece goes into the row with the least space that still holds it. Spaces are at most
    `max_length`, so rows wait in one stack per space, and the bits of an integer say which stacks
    hold a row: a piece costs one shift of `max_length` bits, whatever the number of rows.

    Args:
        lengths: tokens of every document.
        max_length: tokens in a row, at least 2.

    Returns:
        The rows in the order of their first documents; documents within a row in their order.
    """
    rows: Rows = []
    waiting: list[list[int]] = [[] for _ in range(max_length + 1)]
    occupied = 0
    for piece in sorted(_cut_all(lengths, max_length), key=_length, reverse=True):
        length = _length(piece)
        fitting = occupied >> length
        if fitting:
            space = length + (fitting & -fitting).bit_length() - 1
            row = waiting[space].pop()
            if not waiting[space]:
                occupied ^= 1 << space
        else:
            space, row = max_length, len(rows)
            rows.append([])
        rows[row].append(piece)
        waiting[space - length].append(row)
        occupied |= 1 << (space - length)
    return sorted(sorted(row) for row in rows)


def chunk(lengths: Sequence[int], max_length: int) -> Rows:
    """Put the documents one after another and cut wherever a row is full.

    Every row but the last is full, up to one token that could not be supervised. See `pack` for
    the arguments.
    """
    rows: Rows = []
    space = 0
    for document, length in enumerate(lengths):
        start = 0
        while length - start >= 2:
            if space < 2:
                rows.append([])
                space = max_length
            stop = min(start + space, length)
            rows[-1].append(Piece(document, start, stop))
            space -= stop - start
            start = stop - 1
    return rows


def single(lengths: Sequence[int], max_length: int) -> Rows:
    """Give every piece a row of its own. See `pack` for the arguments."""
    return [[piece] for piece in _cut_all(lengths, max_length)]


FORMERS: dict[str, Callable[[Sequence[int], int], Rows]] = {
    "pack": pack,
    "chunk": chunk,
    "single": single,
}
"""The row formers by the name that `data.row_former` has."""


def _length(piece: Piece) -> int:
    return piece.stop - piece.start


def _cut_all(lengths: Sequence[int], max_length: int) -> Iterator[Piece]:
    """Yield whole documents, and those longer than a row in pieces that share one token."""
    assert max_length >= 2, f"max_length={max_length} leaves no token to predict"
    for document, length in enumerate(lengths):
        for start in range(0, max(length - 1, 1), max_length - 1):
            yield Piece(document, start, min(start + max_length, length))
