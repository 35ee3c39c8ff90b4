"""Which split a record belongs to: whole groups, by a hash of the seed and the group's name.

The order of groups depends on nothing but their names, so a tune more or less moves at most the
groups at the borders between splits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence


def split_groups(
    groups: Sequence[str], seed: int, validation_fraction: float, test_fraction: float
) -> list[str]:
    """Return the split of each record.

    Groups are taken in a pseudo-random order; the first ones fill the test split until it has at
    least its share of the records, the next ones the validation split, the rest is for training.

    Args:
        groups: the group of each record; a group is never divided.
        seed: of the order.
        validation_fraction: share of the records.
        test_fraction: share of the records.

    Returns:
        `train`, `validation` or `test` for each record.
    """
    sizes = Counter(groups)
    wanted = {
        "test": test_fraction * len(groups),
        "validation": validation_fraction * len(groups),
    }
    filled: Counter[str] = Counter()
    split_of: dict[str, str] = {}
    for group in sorted(sizes, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest()):
        split = next((name for name in wanted if filled[name] < wanted[name]), "train")
        filled[split] += sizes[group]
        split_of[group] = split
    return [split_of[group] for group in groups]
