"""Finds pairs of tunes with similar melodies, by containment of their fingerprints.

An inverted index by sorting: the hashes of all tunes are sorted, and tunes with
equal hashes are counted as pairs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates.pairs import (
    Keys,
    Pairs,
    expand_ranges,
    joined,
    keys_of,
    places_of,
    runs,
)
from musicllm.data.ngrams import mix

MAX_TUNES_PER_HASH = 200
"""Hashes of more tunes are too common to make pairs."""

_COUNTED_PER_BLOCK = 1_048_576
_PAIRS_PER_BLOCK = 16_384
_PAIR_BITS, _HASH_BITS = np.uint64(16), np.uint64(48)

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Melodies:
    """The melodic hashes of all records.

    Attributes:
        values: file of raw uint64, record after record, without duplicates within a record.
        offsets: start of each record, and end of the last: [records + 1].
        around: `Outline.around`; records are versions of each other only if it is equal,
            [records].
    """

    values: Path
    offsets: Places
    around: npt.NDArray[np.uint64]


def melodic_pairs(melodies: Melodies, mask: npt.NDArray[np.bool_], more_than: float) -> Pairs:
    """Return pairs of records with similar fingerprints.

    Similarity is the number of shared hashes over that of the smaller fingerprint. A pair is found
    if it shares enough of the hashes that at most `MAX_TUNES_PER_HASH` records have. Cost: 40
    bytes per hash, and sorting them; at most half of `MAX_TUNES_PER_HASH` pairs per
    hash of each record are counted, a million at a time.

    Args:
        melodies: of all records.
        mask: which records to compare, [records].
        more_than: minimum similarity, exclusive.
    """
    values = np.fromfile(melodies.values, np.uint64)
    sizes = np.diff(melodies.offsets)
    assert len(values) == melodies.offsets[-1], f"{melodies.values} is not what offsets say"
    hash_mask = np.repeat(mask, sizes)
    return joined(
        [
            _measured(keys[num_shared > more_than * _smaller(keys, sizes)], values, melodies)
            for keys, num_shared in _counted(*_holders(values, hash_mask, melodies.offsets))
        ]
    )


def similarity_of(keys: Keys, melodies: Melodies) -> Pairs:
    """Return pairs with their similarity as in `melodic_pairs`; 0 without a melody."""
    return _measured(keys, np.fromfile(melodies.values, np.uint64), melodies)


def _measured(keys: Keys, values: npt.NDArray[np.uint64], melodies: Melodies) -> Pairs:
    sizes = np.diff(melodies.offsets)
    measured = []
    for start in range(0, len(keys), _PAIRS_PER_BLOCK):
        part = keys[start : start + _PAIRS_PER_BLOCK]
        shared = _shared(part, values, melodies.offsets)
        similarity = shared / np.maximum(_smaller(part, sizes), 1)
        measured.append(Pairs(*places_of(part), similarity.astype(np.float32)))
    return joined(measured)


def _holders(
    values: npt.NDArray[np.uint64], hash_mask: npt.NDArray[np.bool_], offsets: Places
) -> tuple[npt.NDArray[np.uint32], Places, Places]:
    """Return the records by hash, and two indices into them for each hash of each record.

    These are of the record itself, and of the first record with this hash, in the
    order of records. Hashes of one record or of too many are left out.
    """
    order = np.argsort(values, kind="stable")
    order = order[hash_mask[order]]
    num_holders = np.diff(runs(values[order]))
    is_distinctive = (num_holders > 1) & (num_holders <= MAX_TUNES_PER_HASH)
    order, num_holders = order[np.repeat(is_distinctive, num_holders)], num_holders[is_distinctive]
    holders = (np.searchsorted(offsets, order, side="right") - 1).astype(np.uint32)
    firsts = np.repeat(np.cumsum(num_holders) - num_holders, num_holders)
    places = np.argsort(holders, kind="stable")
    return holders, places, firsts[places]


def _counted(
    holders: npt.NDArray[np.uint32], places: Places, firsts: Places
) -> Iterator[tuple[Keys, npt.NDArray[np.int64]]]:
    """Yield pairs and their number of shared hashes; all pairs of a later record at once."""
    totals = np.cumsum(places - firsts)
    ends_record = np.flatnonzero(np.diff(holders[places].astype(np.int64), append=-1))
    start = 0
    while start < len(places):
        limit = (totals[start - 1] if start else 0) + _COUNTED_PER_BLOCK
        fitting = ends_record[: np.searchsorted(totals[ends_record], limit, side="right")]
        beyond = ends_record[np.searchsorted(ends_record, start)]
        stop = 1 + max(int(beyond), int(fitting[-1]) if len(fitting) else 0)
        own, first = places[start:stop], firsts[start:stop]
        which, others = expand_ranges(first, own - first)
        keys = keys_of(holders[others], holders[own[which]])
        yield np.unique(keys, return_counts=True)
        start = stop


def _smaller(keys: Keys, sizes: Places) -> Places:
    earlier, later = places_of(keys)
    return np.minimum(sizes[earlier], sizes[later])


def _shared(keys: Keys, values: npt.NDArray[np.uint64], offsets: Places) -> Places:
    """Count all shared hashes of pairs, also common ones, by sorting both sides together."""
    sides = []
    for places in places_of(keys):
        pair, at = expand_ranges(offsets[places], offsets[places + 1] - offsets[places])
        sides.append((pair.astype(np.uint64) << _HASH_BITS) | (mix(values[at]) >> _PAIR_BITS))
    both = np.sort(np.concatenate(sides))
    twice = both[1:][both[1:] == both[:-1]]
    return np.bincount((twice >> _HASH_BITS).astype(np.int64), minlength=len(keys))
