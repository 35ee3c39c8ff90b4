"""What the contestants are asked: questions of MMLU from a folder, or made ones of their lengths.

Of a folder, NUM_SUBJECTS subjects stand for all: those in the middle of each quarter of the
questions, ordered by how long the questions of their subject are. Made questions are stretches of
the documentation that comes with Python; log-normal lengths, spread as in four such subjects.
Nothing is scored here, and no answer is right.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pydoc_data.topics import topics

from musicllm.data.settings import Question
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import LETTERS, Asked, Solved, draw, read_benchmark

NUM_SUBJECTS = 4
NUM_EXAMPLES = 5

LENGTHS: Mapping[str, tuple[float, float]] = {
    "short": (48, 20),
    "middling": (62, 30),
    "longer": (80, 36),
    "long": (560, 70),
}
"""Made subject -> median characters of a question and of an option, so that prompts have about as
many tokens as those of MMLU's `philosophy`, `high_school_microeconomics`, `high_school_biology` and
`professional_law`: the four that stand for MMLU."""

SIGMA = 0.6
"""Of the logarithm of a length, about that within a subject of MMLU."""


def from_folder(folder: Path, num_questions: int, seed: int) -> Asked:
    """Return questions of some subjects of a folder, equally many of each.

    Raises:
        InputError: the folder holds no such questions, or a subject lacks examples.
    """
    found = read_benchmark("mmlu", str(folder), folder, "test", (), NUM_EXAMPLES)
    names = representative(found.questions)
    kept = [solved for solved in found.questions if solved.subject in names]
    return Asked(draw(kept, num_questions, seed), {name: found.examples[name] for name in names})


def representative(questions: Sequence[Solved]) -> list[str]:
    """Return the names of the subjects that stand for all; all, where there are no more."""
    lengths: dict[str, list[int]] = {}
    for solved in questions:
        lengths.setdefault(solved.subject, []).append(len(solved.question.stem))
    left = sorted(lengths, key=lambda name: (statistics.mean(lengths[name]), name))
    ends = {name: sum(len(lengths[each]) for each in left[: place + 1])
            for place, name in enumerate(left)}  # fmt: skip
    chosen: list[str] = []
    for quarter in range(min(NUM_SUBJECTS, len(left))):
        middle = (quarter + 0.5) / NUM_SUBJECTS * len(questions)
        name = min(left, key=lambda each: abs(ends[each] - len(lengths[each]) / 2 - middle))
        left.remove(name)
        chosen.append(name)
    return chosen


def made(num_questions: int, seed: int) -> Asked:
    """Return made questions, equally many of each subject but for a remainder."""
    generator = random.Random(seed)
    words = " ".join(text for _, text in sorted(topics.items())).split()
    asked: list[Solved] = []
    examples: dict[str, tuple[Solved, ...]] = {}
    for number, subject in enumerate(LENGTHS):
        shown = NUM_EXAMPLES
        num_asked = len(range(number, num_questions, NUM_SUBJECTS))
        whole = [
            _made(words, generator, subject, "dev" if place < shown else "test", place)
            for place in range(shown + num_asked)
        ]
        examples[subject] = tuple(whole[:shown])
        asked += whole[shown:]
    return Asked(tuple(asked), examples)


def requests(asked: Asked, num_fewshot: int) -> Iterator[tuple[str, str]]:
    """Yield what the harness's own task would request: every prompt with each of its options."""
    form = FORMATS["harness"]
    for solved in asked.questions:
        prompt = form.prompt(solved, asked.examples[solved.subject][:num_fewshot])
        yield from ((prompt, form.option(letter)) for letter in LETTERS)


def _made(
    words: Sequence[str], generator: random.Random, subject: str, split: str, place: int
) -> Solved:
    of_stem, of_option = LENGTHS[subject]
    options = tuple(_stretch(words, generator, of_option) for _ in LETTERS)
    question = Question(
        "made", f"{subject}/{split}/{place}", _stretch(words, generator, of_stem), options
    )
    return Solved(question, generator.choice(LETTERS), subject, split)


def _stretch(words: Sequence[str], generator: random.Random, median_chars: float) -> str:
    """Return words that follow one another, at least one, up to a drawn length."""
    place = generator.randrange(len(words))
    length = median_chars * generator.lognormvariate(0.0, SIGMA)
    chosen = words[place]
    while len(chosen) < length:
        place = (place + 1) % len(words)
        chosen = f"{chosen} {words[place]}"
    return chosen
