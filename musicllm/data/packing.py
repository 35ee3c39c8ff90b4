"""Row formers: which documents share a row. They see lengths only, never tokens.

A row is a list of pieces, and a piece is a stretch of one document. A document is cut only when it
is longer than a row (`pack`, `single`) or when it meets the end of a row (`chunk`). The last token
of a piece is repeated as the first of the next one: it is context there and not supervised, so
every token of a document but its first is predicted exactly once. Documents of fewer than 2 tokens
have nothing to predict and get no row; who plans rows counts them.

Letters: n documents, P pieces, R rows, L tokens in a row at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musicllm.data.atomic import replacing

Ints = npt.NDArray[np.int64]

VERSION = 1
"""Of the rules in this file: rows of one version are the same for the same lengths."""


@dataclass(frozen=True)
class RowPlan:
    """Which pieces form which rows: 24 bytes a piece and 8 a row.

    Attributes:
        document: int64 [P].
        start: int64 [P]; the first token of the piece within its document.
        stop: int64 [P]; one after its last token.
        offsets: int64 [R + 1]; row r holds the pieces `offsets[r]` to `offsets[r + 1]`.
    """

    document: Ints
    start: Ints
    stop: Ints
    offsets: Ints

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.offsets) - 1

    @property
    def num_tokens(self) -> Ints:
        """Tokens of every row, int64 [R]."""
        until = np.concatenate([[0], np.cumsum(self.stop - self.start)])
        return np.diff(until[self.offsets])

    def part(self, first: int, last: int) -> RowPlan:
        """Return the rows `first` to `last - 1` as a plan of its own, copied into memory."""
        offsets = np.array(self.offsets[first : last + 1])
        pieces = slice(int(offsets[0]), int(offsets[-1]))
        document, start, stop = (
            np.array(column[pieces]) for column in (self.document, self.start, self.stop)
        )
        return RowPlan(document, start, stop, offsets - offsets[0])

    def save(self, folder: Path) -> None:
        """Write one `.npy` file a column into a folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        for column in fields(self):
            with replacing(folder / f"{column.name}.npy") as path, path.open("wb") as file:
                np.save(file, getattr(self, column.name))

    @classmethod
    def load(cls, folder: Path) -> RowPlan:
        """Open what `save` wrote. Nothing is read yet: `part` reads the rows that it returns."""
        paths = [folder / f"{column.name}.npy" for column in fields(cls)]
        return cls(*(np.load(path, mmap_mode="r") for path in paths))


def pack(lengths: Ints, max_length: int) -> RowPlan:
    """Fill rows by best fit, longest piece first.

    Every piece goes into the row with the least space that still holds it; of several such rows,
    into the one that got its space last. Cost: P log P, and at most L^2 / 2 steps of numpy over
    rows of equal space; about 60 bytes of memory a piece.

    Args:
        lengths: int64 [n], tokens of every document.
        max_length: tokens in a row, at least 2.

    Returns:
        The rows in the order of their first documents; documents within a row in their order.
    """
    document, start, stop = _cut(lengths, max_length)
    missing = max_length - (stop - start)
    small = np.uint16 if max_length < 1 << 16 else np.int64  # 16 bits are sorted by radix
    longest_first = np.argsort(missing.astype(small), kind="stable")
    counts = np.bincount(max_length - missing, minlength=max_length + 1)
    row = np.empty_like(document)
    row[longest_first] = _best_fit(counts, max_length)
    del missing, longest_first
    row = _by_first_piece(row)
    order = np.argsort(row, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row))]).astype(np.int64)
    return RowPlan(document[order], start[order], stop[order], offsets)


def chunk(lengths: Ints, max_length: int) -> RowPlan:
    """Put the documents one after another and cut wherever a row is full.

    Every row but the last is full, up to one token that could not be supervised. See `pack` for
    the arguments. Cost: n log n, and one step in Python for every row that ends where a document
    does.
    """
    assert max_length >= 2, f"max_length={max_length} leaves no token to predict"
    documents = np.flatnonzero(lengths >= 2)
    ends = np.cumsum(lengths[documents], dtype=np.int64)
    firsts = ends - lengths[documents]
    rows = _full_rows(ends, max_length)
    cuts = np.sort(np.concatenate([firsts, rows]), kind="stable")  # two sorted runs are merged
    cuts = cuts[np.diff(cuts, prepend=-1) > 0]
    which = np.searchsorted(ends, cuts, side="right")
    start = cuts - firsts[which]
    stop = np.append(cuts[1:], ends[-1:]) - firsts[which]
    start -= start > 0
    offsets = np.append(np.searchsorted(cuts, rows), len(cuts))
    return RowPlan(documents[which], start, stop, offsets)


def single(lengths: Ints, max_length: int) -> RowPlan:
    """Give every piece a row of its own. See `pack` for the arguments. Cost: linear."""
    pieces = _cut(lengths, max_length)
    return RowPlan(*pieces, np.arange(len(pieces[0]) + 1))


FORMERS: dict[str, Callable[[Ints, int], RowPlan]] = {
    "pack": pack,
    "chunk": chunk,
    "single": single,
}
"""The row formers by the name that `data.row_former` has."""


def _cut(lengths: Ints, max_length: int) -> tuple[Ints, Ints, Ints]:
    """Return document, start and stop of whole documents, and of the pieces of longer ones."""
    assert max_length >= 2, f"max_length={max_length} leaves no token to predict"
    num_pieces = -(-np.maximum(lengths - 1, 0) // (max_length - 1))
    document = np.repeat(np.arange(len(lengths)), num_pieces)
    before = np.cumsum(num_pieces) - num_pieces
    start = (np.arange(len(document)) - before[document]) * (max_length - 1)
    return document, start, np.minimum(start + max_length, lengths[document])


def _best_fit(counts: Ints, max_length: int) -> Ints:
    """Return the row of every piece, longest pieces first.

    A row that holds a piece of some length and has space for another one then has the least space
    of all, so it is filled with pieces of this length before the next row is looked at. Rows of
    equal space are therefore filled at once.

    Args:
        counts: int64 [L + 1], pieces of every length.
        max_length: L.
    """
    rows = np.empty(counts.sum(), np.int64)
    waiting: list[list[Ints]] = [[] for _ in range(max_length + 1)]
    occupied = 0  # bit s: rows with the space s are waiting
    num_rows, done = 0, 0
    for length in np.flatnonzero(counts)[::-1].tolist():
        remaining = int(counts[length])
        while remaining:
            fitting = occupied >> length
            space = length + (fitting & -fitting).bit_length() - 1 if fitting else max_length
            fits = space // length
            if fitting:
                open_rows = _pop(waiting[space], -(-remaining // fits))
                occupied ^= 0 if waiting[space] else 1 << space
            else:
                open_rows = np.arange(num_rows, num_rows + -(-remaining // fits))
                num_rows += len(open_rows)
            filled = min(remaining, fits * len(open_rows))
            rows[done : done + filled] = np.repeat(open_rows, fits)[:filled]
            done, remaining = done + filled, remaining - filled
            full, in_last = filled // fits, filled % fits
            for group, rest in ((open_rows[:full], fits), (open_rows[full:], in_last)):
                if len(group):
                    waiting[space - rest * length].append(group)
                    occupied |= 1 << (space - rest * length)
    return rows


def _pop(stack: list[Ints], count: int) -> Ints:
    """Take at most `count` rows from a stack that is kept in stretches, the last row first."""
    popped = []
    while count and stack:
        top = stack.pop()
        if len(top) > count:
            stack.append(top[:-count])
            top = top[-count:]
        popped.append(top[::-1])
        count -= len(top)
    return np.concatenate(popped)


def _by_first_piece(row: Ints) -> Ints:
    """Number rows anew, in the order of their first pieces."""
    num_rows = int(row.max(initial=-1)) + 1
    first = np.empty(num_rows, np.int64)
    first[row[::-1]] = np.arange(len(row))[::-1]  # the last value that is written stays
    rank = np.empty(num_rows, np.int64)
    rank[np.argsort(first)] = np.arange(num_rows)
    return rank[row]


def _full_rows(ends: Ints, max_length: int) -> Ints:
    """Return where every row of `chunk` begins, on the line of all tokens, each counted once.

    A row that begins with a document holds L tokens of this line. One that goes on with a document
    repeats a token and holds L - 1 new ones, so a run of rows ends at e, e + (L - 1), ... until a
    document ends there, or one token before, whose place cannot be used: then a new run begins.

    Args:
        ends: int64 [n], where the documents end on the line.
        max_length: L.
    """
    period, total = max_length - 1, int(ends[-1]) if len(ends) else 0
    by_remainder = np.sort(ends % period * (total + 1) + ends)
    rows: list[Ints] = [np.empty(0, np.int64)]
    begin = 0
    while begin < total:
        end = begin + max_length
        stop = min(
            _next_end(by_remainder, end, period, total),
            _next_end(by_remainder, end - 1, period, total),
        )
        rows += [np.array([begin]), np.arange(end, stop, period)]
        begin = stop
    return np.concatenate(rows)


def _next_end(by_remainder: Ints, place: int, period: int, total: int) -> int:
    """Return the first document end at `place` + k `period`, k = 0, 1, ..., or else `total`."""
    remainder = place % period * (total + 1)
    index = int(np.searchsorted(by_remainder, remainder + place))
    if place <= total and index < len(by_remainder):
        end = int(by_remainder[index]) - remainder
        return min(end, total)
    return total
