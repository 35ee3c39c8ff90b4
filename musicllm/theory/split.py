"""Which questions may be asked, shown or trained on: a matter of their content alone.

The side of a question follows from a hash of its score, or of its stem where it has none. So no
score, and no question without one, is on two sides, whatever is drawn with whatever seed, and a
new family moves no question of another one.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Literal, get_args

from musicllm.theory.drafts import Draft
from musicllm.theory.families import drafts_of

Split = Literal["test", "dev", "train"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""What is asked, what is shown as solved examples, and what may be trained on."""

_SHARES: dict[Split, int] = {"test": 30, "dev": 10, "train": 60}
"""In percent."""


def split_of(draft: Draft) -> Split:
    """Return the side that a question is on."""
    place = int(digest(draft.abc or draft.stem), 16) % 100
    if place < _SHARES["test"]:
        return "test"
    return "dev" if place < _SHARES["test"] + _SHARES["dev"] else "train"


@cache
def side(family: str, level: str, split: Split) -> tuple[Draft, ...]:
    """Return the questions of a family and level that are on one side."""
    return tuple(
        each for each in drafts_of(family) if each.level == level and split_of(each) == split
    )


def digest(*texts: str) -> str:
    """Return a hash of texts in hexadecimal, the same everywhere."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
