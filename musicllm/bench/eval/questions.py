"""Questions of the evaluation bench: MMLU from a folder, or synthetic ones of similar length.

From a folder, NUM_SUBJECTS subjects represent all: those in the middle of each quarter of the
questions, ordered by the mean length of questions of a subject. Synthetic questions are excerpts of
the Python documentation, with log-normal lengths like those of four such subjects.
Nothing is scored here; the answers have no meaning.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pydoc_data.topics import topics

from musicllm.data.settings import Question
from musicllm.evals.prompts import FORMATS
from musicllm.evals.questions import LETTERS, LabelledQuestion, QuestionSet, draw, read_benchmark

NUM_SUBJECTS = 4
NUM_EXAMPLES = 5

LENGTHS: Mapping[str, tuple[float, float]] = {
    "short": (48, 20),
    "middling": (62, 30),
    "longer": (80, 36),
    "long": (560, 70),
}
"""Synthetic subject -> median characters of a question and of an option. Prompts have about as many
tokens as those of MMLU's `philosophy`, `high_school_microeconomics`, `high_school_biology` and
`professional_law`, the four that represent MMLU."""

SIGMA = 0.6
"""Standard deviation of the logarithm of a length, about that within a subject of MMLU."""


def from_folder(folder: Path, num_questions: int, seed: int) -> QuestionSet:
    """Return questions of representative subjects of a folder, equally many of each.

    Raises:
        InputError: the folder has no such questions, or a subject lacks examples.
    """
    benchmark = read_benchmark("mmlu", str(folder), folder, "test", (), num_fewshot=NUM_EXAMPLES)
    names = representative(benchmark.questions)
    selected = [solved for solved in benchmark.questions if solved.subject in names]
    return QuestionSet(
        draw(selected, num_questions, seed), {name: benchmark.examples[name] for name in names}
    )


def representative(questions: Sequence[LabelledQuestion]) -> list[str]:
    """Return the names of NUM_SUBJECTS representative subjects, or of all if there are fewer."""
    lengths: dict[str, list[int]] = {}
    for solved in questions:
        lengths.setdefault(solved.subject, []).append(len(solved.question.stem))
    subjects = sorted(lengths, key=lambda name: (statistics.mean(lengths[name]), name))
    ends = {name: sum(len(lengths[other]) for other in subjects[: place + 1])
            for place, name in enumerate(subjects)}  # fmt: skip
    selected: list[str] = []
    for quarter in range(min(NUM_SUBJECTS, len(subjects))):
        middle = (quarter + 0.5) / NUM_SUBJECTS * len(questions)
        name = min(subjects, key=lambda other: abs(ends[other] - len(lengths[other]) / 2 - middle))
        subjects.remove(name)
        selected.append(name)
    return selected


def synthetic(num_questions: int, seed: int) -> QuestionSet:
    """Return synthetic questions, equally many of each subject except for a remainder."""
    generator = random.Random(seed)
    words = " ".join(text for _, text in sorted(topics.items())).split()
    questions: list[LabelledQuestion] = []
    examples: dict[str, tuple[LabelledQuestion, ...]] = {}
    for number, subject in enumerate(LENGTHS):
        num_examples = NUM_EXAMPLES
        num_test = len(range(number, num_questions, NUM_SUBJECTS))
        whole = [
            _synthetic(words, generator, subject, "dev" if place < num_examples else "test", place)
            for place in range(num_examples + num_test)
        ]
        examples[subject] = tuple(whole[:num_examples])
        questions += whole[num_examples:]
    return QuestionSet(tuple(questions), examples)


def requests(questions: QuestionSet, num_fewshot: int) -> Iterator[tuple[str, str]]:
    """Yield the requests of the harness's own task: every prompt with each of its options."""
    form = FORMATS["harness"]
    for solved in questions.questions:
        prompt = form.prompt(solved, questions.examples[solved.subject][:num_fewshot])
        yield from ((prompt, form.option(letter)) for letter in LETTERS)


def _synthetic(
    words: Sequence[str], generator: random.Random, subject: str, split: str, place: int
) -> LabelledQuestion:
    of_stem, of_option = LENGTHS[subject]
    options = tuple(_excerpt(words, generator, of_option) for _ in LETTERS)
    question = Question(
        "made", f"{subject}/{split}/{place}", _excerpt(words, generator, of_stem), options
    )
    return LabelledQuestion(question, generator.choice(LETTERS), subject, split)


def _excerpt(words: Sequence[str], generator: random.Random, median_chars: float) -> str:
    """Return consecutive words, at least one, up to a random length."""
    place = generator.randrange(len(words))
    length = median_chars * generator.lognormvariate(0.0, SIGMA)
    text = words[place]
    while len(text) < length:
        place = (place + 1) % len(words)
        text = f"{text} {words[place]}"
    return text
