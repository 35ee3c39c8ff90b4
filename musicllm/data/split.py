"""Which split a record belongs to: whole groups, in an order drawn from the seed and their names.

The order of groups depends on nothing but their names, so a record more or less moves at most the
groups at the borders between splits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musicllm.data.ngrams import mix
from musicllm.data.records import SPLITS

_SALT = 0x9E3779B97F4A7C15


def id_hash(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash of each record's id, the same in every process: [records]."""
    digests = (hashlib.blake2b(name.encode(), digest_size=8).digest() for name in ids)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


@dataclass(frozen=True)
class Groups:
    """Records in groups of related ones; all arrays are [records].

    Attributes:
        split: place in `SPLITS` that the source gives a record; -1 where it gives none.
        closed: splits that the record's source gives itself, so that no other of its records gets
            there; bit i is `SPLITS[i]`.
        group: place of the first record of the record's group.
        keys: `id_hash` of each record.
    """

    split: npt.NDArray[np.int8]
    closed: npt.NDArray[np.int8]
    group: npt.NDArray[np.int64]
    keys: npt.NDArray[np.uint64]


def place(
    groups: Groups, seed: int, validation_fraction: float, test_fraction: float
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
    """Return the split of each record, and which of them train beside a relative that is held out.

    A source's own split is kept. A record without one follows the most strictly held out of its
    group, unless its source gives that split itself: then the published border stays where it is,
    and the record trains. Groups in which no split is given are drawn by `split_groups`, apart for
    sources that give different splits; fractions are of these records.
    """
    split, group = groups.split.copy(), groups.group
    is_given = split >= 0
    held_out = np.full(len(split), -1, np.int8)
    np.maximum.at(held_out, group[is_given], split[is_given])
    held_out = held_out[group]
    tied = ~is_given & (held_out >= 0)
    is_open = groups.closed >> np.maximum(held_out, 0) & 1 == 0
    split[tied] = np.where(is_open, held_out, SPLITS.index("train"))[tied]
    is_free = ~is_given & ~tied
    closed = np.zeros_like(groups.closed)
    np.bitwise_or.at(closed, group[is_free], groups.closed[is_free])
    closed = closed[group]
    for mask in np.unique(closed[is_free]).tolist():
        members = is_free & (closed == mask)
        split[members] = split_groups(
            (np.cumsum(members) - 1)[group[members]],
            groups.keys[members],
            seed,
            0.0 if mask >> SPLITS.index("validation") & 1 else validation_fraction,
            0.0 if mask >> SPLITS.index("test") & 1 else test_fraction,
        )
    return split, (split == SPLITS.index("train")) & (held_out > SPLITS.index("train"))


def split_groups(
    groups: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    seed: int,
    validation_fraction: float,
    test_fraction: float,
) -> npt.NDArray[np.int8]:
    """Return the split of each record.

    Groups are taken in a pseudo-random order; the first ones fill the test split until it has at
    least its share of the records, the next ones the validation split, the rest is for training.
    Cost for n records in g groups: 9 n + 50 g bytes, and sorting g numbers.

    Args:
        groups: place of the first record of each record's group, [records]; a group is never
            divided.
        keys: `id_hash` of each record, [records]; the name of a group is that of its first record.
        seed: of the order; any integer.
        validation_fraction: share of the records.
        test_fraction: share of the records.

    Returns:
        Places in `SPLITS`, [records].
    """
    sizes = np.bincount(groups, minlength=len(groups))
    firsts = np.flatnonzero(sizes)
    salt = mix(np.array([(seed + 1) * _SALT % 2**64], np.uint64))
    order = firsts[np.lexsort((keys[firsts], mix(keys[firsts] ^ salt)))]
    before = np.cumsum(sizes[order]) - sizes[order]
    num_test = np.searchsorted(before, test_fraction * len(groups))
    rest = before[num_test:]
    start = rest[0] if len(rest) else 0
    num_validation = np.searchsorted(rest - start, validation_fraction * len(groups))
    split_of = np.full(len(groups), SPLITS.index("train"), np.int8)
    split_of[order[:num_test]] = SPLITS.index("test")
    split_of[order[num_test : num_test + num_validation]] = SPLITS.index("validation")
    return split_of[groups]
