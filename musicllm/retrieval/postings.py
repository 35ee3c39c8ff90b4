"""An inverted file: which tunes hold a value, and how often, as memory maps of NumPy.

Written with bounded memory: entries are spread over `BUCKETS` files by the highest bits of their
values, and the buckets are sorted one after the other. A search reads what it looks for and nothing
else.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.uint32]

BUCKET_BITS = 8
BUCKETS = 1 << BUCKET_BITS
ENTRIES_IN_MEMORY = 1 << 20

ENTRY = np.dtype([("value", "<u8"), ("tune", "<u4"), ("count", "u1")])
MOST = 255
"""A value that a tune holds more often counts so often."""

VALUES, STARTS, TUNES, COUNTS = "values.u8", "starts.i8", "tunes.u4", "counts.u1"
"""Files of raw little-endian numbers: the values in order; where the tunes of each begin, and the
end; the tunes of one value after another, in order; and how often each of them holds it."""


ENTRY_BYTES = {TUNES: 4, COUNTS: 1}
"""Of each entry in the files that have one for each."""


class PostingsWriter:
    """Gathers entries in any order, and writes the inverted file.

    Cost: n log n in the entries. Disk: 13 bytes for each of them in the work folder while it lasts.
    Memory: about 60 bytes for each of `ENTRIES_IN_MEMORY`, or of a bucket, a 256th of all.

    Args:
        folder: an empty folder for the file.
        work: an empty folder for the buckets, which the caller deletes.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self._folder, self._work = folder, work
        self._waiting: list[npt.NDArray[Any]] = []
        self._num_waiting = 0

    def add(self, values: Values, tunes: Numbers, counts: npt.NDArray[np.uint8]) -> None:
        """Add entries; no pair of value and tune may come twice.

        Args:
            values: hashes, whose bits are spread evenly, [entries].
            tunes: numbers of tunes, [entries].
            counts: how often the tune holds the value, 1 to `MOST`, [entries].
        """
        entries = np.empty(len(values), ENTRY)
        entries["value"], entries["tune"], entries["count"] = values, tunes, counts
        self._waiting.append(entries)
        self._num_waiting += len(entries)
        if self._num_waiting >= ENTRIES_IN_MEMORY:
            self._spill()

    def finish(self) -> int:
        """Write the inverted file, and return the number of its entries."""
        self._spill()
        num_entries = 0
        names = (VALUES, STARTS, TUNES, COUNTS)
        values, starts, tunes, counts = ((self._folder / name).open("wb") for name in names)
        with values, starts, tunes, counts:
            for number in range(BUCKETS):
                if not self._bucket(number).exists():
                    continue
                entries = np.fromfile(self._bucket(number), ENTRY)
                entries = entries[np.lexsort((entries["tune"], entries["value"]))]
                column = entries["value"]
                firsts = np.flatnonzero(np.append(True, column[1:] != column[:-1]))
                column[firsts].tofile(values)
                (firsts + num_entries).astype("<i8").tofile(starts)
                entries["tune"].tofile(tunes)
                entries["count"].tofile(counts)
                num_entries += len(entries)
            np.array([num_entries], "<i8").tofile(starts)
        return num_entries

    def _spill(self) -> None:
        """Append what waits to the buckets."""
        if not self._waiting:
            return
        entries = np.concatenate(self._waiting)
        self._waiting, self._num_waiting = [], 0
        buckets = entries["value"] >> np.uint64(64 - BUCKET_BITS)
        entries = entries[np.argsort(buckets, kind="stable")]
        ends = np.cumsum(np.bincount(buckets.astype(np.int64), minlength=BUCKETS))
        for number, part in enumerate(np.split(entries, ends[:-1])):
            if len(part):
                with self._bucket(number).open("ab") as file:
                    part.tofile(file)

    def _bucket(self, number: int) -> Path:
        return self._work / f"{number:03d}"


@dataclass(frozen=True)
class Hits:
    """The entries of some values: H hits.

    Attributes:
        which: index of the value among those that were looked up, [H].
        tunes: numbers of the tunes that hold it, [H].
        counts: how often, [H].
        num_tunes: how many tunes hold each value that was looked up, 0 for one that none has.
    """

    which: npt.NDArray[np.int64]
    tunes: Numbers
    counts: npt.NDArray[np.uint8]
    num_tunes: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Postings:
    """An inverted file that is open; its arrays are memory maps."""

    values: Values
    starts: npt.NDArray[np.int64]
    tunes: Numbers
    counts: npt.NDArray[np.uint8]

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open the inverted file in a folder."""
        return cls(
            mapped(folder / VALUES, "<u8"),
            mapped(folder / STARTS, "<i8"),
            mapped(folder / TUNES, "<u4"),
            mapped(folder / COUNTS, "u1"),
        )

    def look_up(self, values: Values) -> Hits:
        """Return the entries of values; logarithmic in all values, linear in the hits."""
        places = np.searchsorted(self.values, values)
        within = np.minimum(places, max(len(self.values) - 1, 0))
        held = self.values[within] == values if len(self.values) else np.zeros(len(values), bool)
        firsts = np.where(held, self.starts[within], 0)
        num_tunes = (
            np.where(held, self.starts[within + 1] - firsts, 0)
            if len(self.values)
            else (np.zeros(len(values), np.int64))
        )
        which = np.repeat(np.arange(len(values)), num_tunes)
        offsets = np.arange(len(which)) - np.repeat(np.cumsum(num_tunes) - num_tunes, num_tunes)
        at = firsts[which] + offsets
        return Hits(which, self.tunes[at], self.counts[at], num_tunes)


def mapped(path: Path, dtype: str) -> npt.NDArray[Any]:
    """Return a file of raw numbers as a memory map; an empty file cannot be one."""
    if not path.stat().st_size:
        return np.zeros(0, dtype)
    return np.memmap(path, dtype, "r")
