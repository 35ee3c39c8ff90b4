"""The questions of a family: right answer, wrong answers and level, without options.

Options are sampled and lettered in `quiz`; `split` assigns the split.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

LEVELS = ("easy", "medium", "hard")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class Draft:
    """A question before its options are sampled and ordered.

    Attributes:
        stem: the question.
        abc: its score, or empty.
        answer: the right answer.
        wrong: at least three different wrong answers.
        level: one of `LEVELS`.
    """

    stem: str
    abc: str
    answer: str
    wrong: tuple[str, ...]
    level: str


def level(*complications: bool) -> str:
    """Return `easy` without complications, `medium` with one, `hard` with more."""
    return LEVELS[min(sum(complications), len(LEVELS) - 1)]


def others(candidates: Iterable[str], answer: str) -> tuple[str, ...]:
    """Return the candidates that differ from the answer, in order, without duplicates."""
    return tuple(dict.fromkeys(text for text in candidates if text != answer))


def near_counts(right: int, draw: random.Random, *tempting: int) -> tuple[str, ...]:
    """Sample three wrong counts: close ones, twice the right one, or tempting ones."""
    return sample_counts(right, draw, [*tempting, *range(right - 3, right + 4), 2 * right])


def sample_counts(right: int, draw: random.Random, near: Iterable[int]) -> tuple[str, ...]:
    """Sample three wrong counts, above and below the right one equally often."""
    low = sorted({count for count in near if 0 < count < right})
    high = sorted({count for count in near if count > right})
    below = min(max(draw.randrange(4), 3 - len(high)), len(low))
    return tuple(map(str, (*draw.sample(low, below), *draw.sample(high, 3 - below))))


def score(music: str, *, metre: str = "4/4", unit: int = 4, key: str = "C", tempo: str = "") -> str:
    """Return a tune with one line of music, and `Q:` if there is a tempo."""
    fields = [f"L:1/{unit}"]
    fields += [f"Q:{tempo}"] if tempo else []
    end = "" if music.endswith(("|", "]")) and "|" in music[-2:] else " |"
    return "\n".join(["X:1", *fields, f"M:{metre}", f"K:{key}", music + end])
