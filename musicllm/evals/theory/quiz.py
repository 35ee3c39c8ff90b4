"""A seeded set of questions: balanced over families, answers balanced over the letters.

The questions have the schema of MusicTheoryBench (stem, options A to D, answer, subject,
abc_score), with the family as subject.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import chain

from musicllm.errors import InputError
from musicllm.evals.theory.families import FAMILIES, Draft

LETTERS = "ABCD"


@dataclass(frozen=True)
class Question:
    """A multiple-choice question.

    Attributes:
        stem: what is asked.
        abc_score: a score that belongs to it, or empty.
        options: the texts of A, B, C and D, all different.
        answer: letter of the right one.
        subject: its family.
    """

    stem: str
    abc_score: str
    options: tuple[str, str, str, str]
    answer: str
    subject: str

    def as_row(self) -> dict[str, object]:
        """Return the question as MusicTheoryBench stores one."""
        return {
            "stem": self.stem,
            "options": dict(zip(LETTERS, self.options, strict=True)),
            "answer": self.answer,
            "subject": self.subject,
            "abc_score": self.abc_score,
        }


def make_quiz(
    num_questions: int | None, seed: int, num_examples: int = 0
) -> tuple[list[Question], list[Question]]:
    """Draw questions, and examples to show before them; none is drawn twice.

    Families alternate, so their numbers differ by one at most; so do those of the letters of the
    right answers.

    Args:
        num_questions: how many, or None for as many as every family can ask equally often.
        seed: equal seeds give equal questions.
        num_examples: solved questions for few-shot prompts.

    Returns:
        Questions and examples.

    Raises:
        InputError: more are wanted than there are.
    """
    generator = random.Random(seed)
    drafts = {family: list(drafted()) for family, drafted in FAMILIES.items()}
    for few in drafts.values():
        generator.shuffle(few)
    available = len(FAMILIES) * min(map(len, drafts.values())) - num_examples
    wanted = available if num_questions is None else num_questions
    if wanted > available:
        raise InputError(
            f"num_questions={wanted:,} is more than the {available:,} different questions of the "
            f"theory quiz beside {num_examples} examples; use {available:,} or fewer"
        )
    rounds = chain.from_iterable(zip(*drafts.values(), strict=False))
    subjects = [*FAMILIES] * (1 + (wanted + num_examples) // len(FAMILIES))
    drawn = list(zip(subjects, rounds, strict=False))
    examples = _lettered(drawn[:num_examples], generator)
    return _lettered(drawn[num_examples : num_examples + wanted], generator), examples


def _lettered(drawn: list[tuple[str, Draft]], generator: random.Random) -> list[Question]:
    """Draw three wrong answers for each draft and give the right ones their letters."""
    places = [number % len(LETTERS) for number in range(len(drawn))]
    generator.shuffle(places)
    questions = []
    for (subject, draft), place in zip(drawn, places, strict=True):
        options = generator.sample(draft.wrong, len(LETTERS) - 1)
        options.insert(place, draft.answer)
        first, second, third, fourth = options
        questions.append(
            Question(draft.stem, draft.abc, (first, second, third, fourth), LETTERS[place], subject)
        )
    return questions
