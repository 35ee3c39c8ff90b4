"""Takes a part of a benchmark's questions, evenly over its subjects."""

from __future__ import annotations

import random
from collections.abc import Sequence

from musicllm.evals.questions.rows import LabelledQuestion


def draw(
    questions: Sequence[LabelledQuestion], num: int | None, seed: int
) -> tuple[LabelledQuestion, ...]:
    """Return some of the questions, in their order.

    Subjects give equally many, as far as they have them; who has more gives more. A larger draw
    with the same seed holds the smaller one.

    Args:
        questions: of any number of subjects.
        num: how many; None, or more than there are: all.
        seed: equal seeds draw equal questions.
    """
    if num is None or num >= len(questions):
        return tuple(questions)
    places: dict[str, list[int]] = {}
    for place, solved in enumerate(questions):
        places.setdefault(solved.subject, []).append(place)
    ranked: list[tuple[int, float, int]] = []
    for subject, own in places.items():
        generator = random.Random(f"{seed}/{subject}")
        generator.shuffle(own)
        ranked += [(turn, generator.random(), place) for turn, place in enumerate(own)]
    return tuple(
        questions[place] for place in sorted(place for _, _, place in sorted(ranked)[:num])
    )
