"""Pairs of records.

A pair is encoded in 8 bytes, so the number of records is limited to 2**32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_LATER = np.uint64(32)
_EARLIER = np.uint64(0xFFFFFFFF)

Keys = npt.NDArray[np.uint64]
"""Pairs as integers, ordered by the later record, then by the earlier one."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of similar records without duplicates.

    Attributes:
        earlier: index of the record that comes first in the order of processing, [pairs].
        later: index of the other record, [pairs].
        similarity: of the two, 0 to 1, [pairs].
    """

    earlier: npt.NDArray[np.int64]
    later: npt.NDArray[np.int64]
    similarity: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.later)

    def only(self, mask: npt.NDArray[np.bool_]) -> Pairs:
        """Return the pairs of a mask."""
        return Pairs(self.earlier[mask], self.later[mask], self.similarity[mask])


def keys_of(earlier: npt.NDArray[np.integer[Any]], later: npt.NDArray[np.integer[Any]]) -> Keys:
    """Encode pairs as integers."""
    return (later.astype(np.uint64) << _LATER) | earlier.astype(np.uint64)


def places_of(keys: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Decode pairs to the earlier and the later record of each."""
    return (keys & _EARLIER).astype(np.int64), (keys >> _LATER).astype(np.int64)


def joined(parts: list[Pairs]) -> Pairs:
    """Concatenate pairs."""
    nothing = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
    parts = [nothing, *parts]
    return Pairs(
        np.concatenate([part.earlier for part in parts]),
        np.concatenate([part.later for part in parts]),
        np.concatenate([part.similarity for part in parts]),
    )


def runs(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return the start of each run of equal values in a sorted array, and its end: [runs + 1]."""
    borders = np.flatnonzero(values[1:] != values[:-1]) + 1
    return np.concatenate(([0], borders, [len(values)])) if len(values) else np.zeros(1, np.int64)


def expand_ranges(
    starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Expand ranges: return for each item the index of its range, and its position."""
    which = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return which, starts[which] + within
