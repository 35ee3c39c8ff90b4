"""Sets of questions: the fixed public test set, and seeded draws from it and from what is left.

Nothing is asked here.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache

from musicllm.errors import InputError
from musicllm.theory.deal import deal
from musicllm.theory.drafts import LEVELS, Draft
from musicllm.theory.families import FAMILIES
from musicllm.theory.question import LETTERS, Question
from musicllm.theory.split import SPLITS, Split, side

TEST_SEED = 240_216_153
"""Of the public test set."""
NUM_PER_LEVEL = 12
"""Questions of each family and level in the public test set."""


@lru_cache(maxsize=1)
def test_questions() -> tuple[Question, ...]:
    """Return the public test set: 12 questions of each family and level, 3 for each letter.

    They are the same in every installation; docs/THEORY.md has the checksum of their rows.
    """
    return tuple(
        question
        for family in FAMILIES
        for level in LEVELS
        for question in _lettered(family, level, "test", TEST_SEED)[:NUM_PER_LEVEL]
    )


def train_questions(
    num_questions: int | None,
    seed: int,
    *,
    families: Sequence[str] = (),
    levels: Sequence[str] = (),
) -> list[Question]:
    """Draw questions of the training split, none of which can be in the test set.

    Arguments, order and errors are those of `make_quiz`.
    """
    drawn, _ = make_quiz(num_questions, seed, split="train", families=families, levels=levels)
    return drawn


def make_quiz(
    num_questions: int | None,
    seed: int,
    num_examples: int = 0,
    *,
    split: str = "test",
    families: Sequence[str] = (),
    levels: Sequence[str] = (),
) -> tuple[list[Question], list[Question]]:
    """Draw questions, and examples to show before them; none is drawn twice.

    Families, levels and letters of the right answers come equally often as far as there are
    enough questions, as there are in the test set.

    Args:
        num_questions: how many, or None for all.
        seed: equal seeds give equal questions in an equal order.
        num_examples: solved questions for few-shot prompts, of the split `dev`.
        split: `test` draws from `test_questions`, `dev` and `train` from all other questions
            of theirs.
        families: keys of `FAMILIES`; none: all.
        levels: of `LEVELS`; none: all.

    Returns:
        Questions and examples.

    Raises:
        InputError: an unknown split, family or level, or more are wanted than there are.
    """
    asked = next((known for known in SPLITS if known == split), None)
    if asked is None:
        raise _unknown(split, SPLITS, "split")
    _require(families, FAMILIES, "family")
    _require(levels, LEVELS, "level")
    wanted = [family for family in FAMILIES if family in (families or FAMILIES)]
    grades = [level for level in LEVELS if level in (levels or LEVELS)]
    examples = _drawn("dev", wanted, grades, num_examples, seed) if num_examples else []
    known = {(each.stem, each.abc_score) for each in examples} if asked == "dev" else set()
    return _drawn(asked, wanted, grades, num_questions, seed, known), examples


def _drawn(
    split: Split,
    families: Sequence[str],
    levels: Sequence[str],
    wanted: int | None,
    seed: int,
    known: Collection[tuple[str, str]] = (),
) -> list[Question]:
    generator = random.Random(f"{split} {seed}")
    cells: dict[tuple[str, str, str], list[Question]] = {}
    for question in _all(split, families, levels, seed):
        if (question.stem, question.abc_score) not in known:
            cell = (question.subject, question.level, question.answer)
            cells.setdefault(cell, []).append(question)
    available = sum(map(len, cells.values()))
    wanted = available if wanted is None else wanted
    if not 1 <= wanted <= available:
        raise InputError(
            f"{wanted:,} questions are wanted of the {available:,} of the theory quiz's split "
            f"{split} in {len(families)} families and {len(levels)} levels; use 1 to {available:,}"
        )
    for few in cells.values():
        generator.shuffle(few)
    turns = generator.sample(families, len(families))
    drawn = deal(cells, turns, levels, LETTERS, wanted)
    generator.shuffle(drawn)
    return drawn


def _all(
    split: Split, families: Sequence[str], levels: Sequence[str], seed: int
) -> Iterable[Question]:
    if split == "test":
        return (
            each for each in test_questions() if each.subject in families and each.level in levels
        )
    return (
        question
        for family in families
        for level in levels
        for question in _lettered(family, level, split, seed)
    )


def _lettered(family: str, level: str, split: Split, seed: int) -> list[Question]:
    """Return the questions of a family, level and split in drawn order, with drawn options.

    The letters of the right answers are equally frequent in every four.
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


def _question(draft: Draft, place: int, family: str, generator: random.Random) -> Question:
    options = generator.sample(draft.wrong, len(LETTERS) - 1)
    options.insert(place, draft.answer)
    first, second, third, fourth = options
    answers = (first, second, third, fourth)
    return Question(draft.stem, draft.abc, answers, LETTERS[place], family, draft.level)


def _require(names: Sequence[str], known: Collection[str], what: str) -> None:
    """Refuse a name that is not known.

    Raises:
        InputError: it says which there are.
    """
    for name in names:
        if name not in known:
            raise _unknown(name, known, what)


def _unknown(name: str, known: Collection[str], what: str) -> InputError:
    near = get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return InputError(
        f"{name!r} is no {what} of the theory quiz; did you mean {near}? There are "
        f"{', '.join(known)}"
    )
