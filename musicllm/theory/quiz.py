"""Samples sets of questions: the fixed public test set, and seeded samples from all splits."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache

from musicllm.errors import InputError
from musicllm.theory.deal import deal
from musicllm.theory.drafts import LEVELS, Draft
from musicllm.theory.families import FAMILIES
from musicllm.theory.question import LETTERS, TheoryQuestion
from musicllm.theory.split import SPLITS, Split, side

TEST_SEED = 240_216_153
"""Seed of the public test set."""
NUM_PER_LEVEL = 12
"""Questions per family and level in the public test set."""


@lru_cache(maxsize=1)
def test_questions() -> tuple[TheoryQuestion, ...]:
    """Return the public test set: 12 questions per family and level, 3 for each letter.

    It is the same in every installation; docs/THEORY.md has the checksum of its rows.
    """
    return tuple(
        question
        for family in FAMILIES
        for level in LEVELS
        for question in _lettered(family, level, "test", TEST_SEED)[:NUM_PER_LEVEL]
    )


def make_quiz(
    num_questions: int | None,
    seed: int,
    num_examples: int = 0,
    *,
    split: str = "test",
    families: Sequence[str] = (),
    levels: Sequence[str] = (),
) -> tuple[list[TheoryQuestion], list[TheoryQuestion]]:
    """Sample questions, and few-shot examples, without duplicates.

    Families, levels and letters of the right answers are equally frequent as far as there are
    enough questions, as in the test set.

    Args:
        num_questions: number of questions, or None for all.
        seed: equal seeds give equal questions in equal order.
        num_examples: solved questions of the split `dev` for few-shot prompts.
        split: `test` samples from `test_questions`, `dev` and `train` from all questions
            of the split.
        families: keys of `FAMILIES`; empty for all.
        levels: of `LEVELS`; empty for all.

    Returns:
        Questions and examples.

    Raises:
        InputError: an unknown split, family or level, or more questions than there are.
    """
    known_split = next((name for name in SPLITS if name == split), None)
    if known_split is None:
        raise _unknown(split, SPLITS, "split")
    _require(families, FAMILIES, "family")
    _require(levels, LEVELS, "level")
    names = [family for family in FAMILIES if family in (families or FAMILIES)]
    level_names = [level for level in LEVELS if level in (levels or LEVELS)]
    examples = (
        _sample("dev", names, level_names, count=num_examples, seed=seed) if num_examples else []
    )
    example_keys = {(e.stem, e.abc_score) for e in examples} if known_split == "dev" else set()
    questions = _sample(
        known_split, names, level_names, count=num_questions, seed=seed, excluded=example_keys
    )
    return questions, examples


def _sample(
    split: Split,
    families: Sequence[str],
    levels: Sequence[str],
    *,
    count: int | None,
    seed: int,
    excluded: Collection[tuple[str, str]] = (),
) -> list[TheoryQuestion]:
    generator = random.Random(f"{split} {seed}")
    cells: dict[tuple[str, str, str], list[TheoryQuestion]] = {}
    for question in _all(split, families, levels, seed):
        if (question.stem, question.abc_score) not in excluded:
            cell = (question.subject, question.level, question.answer)
            cells.setdefault(cell, []).append(question)
    available = sum(map(len, cells.values()))
    count = available if count is None else count
    if not 1 <= count <= available:
        raise InputError(
            f"{count:,} questions are wanted of the {available:,} of the theory quiz's split "
            f"{split} in {len(families)} families and {len(levels)} levels; use 1 to {available:,}"
        )
    for cell_questions in cells.values():
        generator.shuffle(cell_questions)
    turns = generator.sample(families, len(families))
    questions = deal(cells, turns, levels, LETTERS, count)
    generator.shuffle(questions)
    return questions


def _all(
    split: Split, families: Sequence[str], levels: Sequence[str], seed: int
) -> Iterable[TheoryQuestion]:
    if split == "test":
        return (
            question
            for question in test_questions()
            if question.subject in families and question.level in levels
        )
    return (
        question
        for family in families
        for level in levels
        for question in _lettered(family, level, split, seed)
    )


def _lettered(family: str, level: str, split: Split, seed: int) -> list[TheoryQuestion]:
    """Return the questions of a family, level and split in random order, with random options.

    The letters of the right answers are equally frequent in every block of four.
    """
    generator = random.Random(f"{split} {family} {level} {seed}")
    drafts = [*side(family, level, split)]
    generator.shuffle(drafts)
    places: list[int] = []
    while len(places) < len(drafts):
        places += generator.sample(range(len(LETTERS)), len(LETTERS))
    return [
        _question(draft, place, family, generator)
        for draft, place in zip(drafts, places, strict=False)
    ]


def _question(draft: Draft, place: int, family: str, generator: random.Random) -> TheoryQuestion:
    options = generator.sample(draft.wrong, len(LETTERS) - 1)
    options.insert(place, draft.answer)
    first, second, third, fourth = options
    answers = (first, second, third, fourth)
    return TheoryQuestion(draft.stem, draft.abc, answers, LETTERS[place], family, draft.level)


def _require(names: Sequence[str], valid: Collection[str], what: str) -> None:
    """Reject unknown names.

    Raises:
        InputError: the message lists the valid names.
    """
    for name in names:
        if name not in valid:
            raise _unknown(name, valid, what)


def _unknown(name: str, valid: Collection[str], what: str) -> InputError:
    near = get_close_matches(name, valid, n=1, cutoff=0.0)[0]
    return InputError(
        f"{name!r} is no {what} of the theory quiz; did you mean {near}? There are "
        f"{', '.join(valid)}"
    )
