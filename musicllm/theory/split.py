"""Splits questions into test, few-shot examples and training, by their content alone.

The split of a question is a function of a hash of its score, or of its stem if it has none. So no
score, and no question without one, is in two splits with any seed, and a
new family does not move questions of others.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal, get_args

from musicllm.theory.drafts import Draft
from musicllm.theory.families import drafts_of

Split = Literal["test", "dev", "train"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Test questions, few-shot examples, and training."""

_SHARES: dict[Split, int] = {"test": 30, "dev": 10, "train": 60}
"""In percent."""


def split_of(draft: Draft) -> Split:
    """Return the split of a question."""
    place = int(digest(draft.abc or draft.stem), 16) % 100
    if place < _SHARES["test"]:
        return "test"
    return "dev" if place < _SHARES["test"] + _SHARES["dev"] else "train"


@cache
def side(family: str, level: str, split: Split) -> tuple[Draft, ...]:
    """Return the questions of a family and level in one split."""
    return tuple(
        draft for draft in drafts_of(family) if draft.level == level and split_of(draft) == split
    )


def digest(*texts: str) -> str:
    """Return a reproducible hash of texts in hexadecimal."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
