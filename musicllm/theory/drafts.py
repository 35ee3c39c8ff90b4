"""What a family yields: a question with its right answer, its near misses and its level.

Options are drawn and lettered in `quiz`, the side of the split is decided in `split`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

LEVELS = ("easy", "medium", "hard")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


@dataclass(frozen=True)
class Draft:
    """A question before its options are drawn and ordered.

    Attributes:
        stem: the question.
        abc: a score that belongs to it, or empty.
        answer: the one right answer.
        wrong: at least three answers that are not right, all different.
        level: one of `LEVELS`.
    """

    stem: str
    abc: str
    answer: str
    wrong: tuple[str, ...]
    level: str


def level(*complications: bool) -> str:
    """Return `easy` for none of a family's complications, `medium` for one, `hard` for more."""
    return LEVELS[min(sum(complications), len(LEVELS) - 1)]


def others(candidates: Iterable[str], answer: str) -> tuple[str, ...]:
    """Return what differs from the answer, each once, in its order."""
    return tuple(dict.fromkeys(text for text in candidates if text != answer))


def near_counts(right: int, draw: random.Random, *tempting: int) -> tuple[str, ...]:
    """Draw three counts that are not right: close ones, twice as many, or tempting ones."""
    return drawn_counts(right, draw, [*tempting, *range(right - 3, right + 4), 2 * right])


def drawn_counts(right: int, draw: random.Random, near: Iterable[int]) -> tuple[str, ...]:
    """Draw three counts of those near the right one, as often above as below it."""
    low = sorted({count for count in near if 0 < count < right})
    high = sorted({count for count in near if count > right})
    below = min(max(draw.randrange(4), 3 - len(high)), len(low))
    return tuple(map(str, (*draw.sample(low, below), *draw.sample(high, 3 - below))))


def score(music: str, *, metre: str = "4/4", unit: int = 4, key: str = "C", tempo: str = "") -> str:
    """Return a tune of one line of music, with `Q:` where there is a tempo."""
    fields = [f"L:1/{unit}"]
    fields += [f"Q:{tempo}"] if tempo else []
    end = "" if music.endswith(("|", "]")) and "|" in music[-2:] else " |"
    return "\n".join(["X:1", *fields, f"M:{metre}", f"K:{key}", music + end])
