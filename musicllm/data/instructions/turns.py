"""Questions and answers about a tune, worded and checked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from musicllm.data.instructions.conditions import CONDITIONS
from musicllm.data.instructions.families import FAMILIES
from musicllm.data.instructions.subject import Subject
from musicllm.data.instructions.wordings import Wordings


@dataclass(frozen=True)
class InstructionTurn:
    """A question and its answer.

    Attributes:
        task: its family.
        conditions: stated by the question or the answer, without the tune itself.
        request: the question.
        answer: the answer.
    """

    task: str
    conditions: Mapping[str, str]
    request: str
    answer: str


def ask(
    task: str,
    tune: Subject,
    wordings: Wordings,
    draw: random.Random,
    *,
    follows: bool = False,
    excerpt: str | None = None,
) -> InstructionTurn | None:
    """Generate a turn of a family; None if the family does not fit the tune.

    Args:
        task: a key of `FAMILIES`.
        tune: the subject.
        wordings: of the language.
        draw: decides wordings and openings.
        follows: whether an earlier turn contains the tune.
        excerpt: text of the tune in the request; None for that of the family.
    """
    family = FAMILIES[task]
    about = family.answer_about(tune)
    values = {} if about is None else _true_of(family.names, tune, about, draw)
    if about is None or not family.needs <= values.keys():
        return None
    inputs = {**values, "tune": excerpt or family.shows(tune)} if family.shows else values
    request = wordings.choose(task, "follow_ups" if follows else "requests", inputs, draw)
    is_in_words = family.answer == "words"
    answer = wordings.choose(task, "answers", values, draw) if is_in_words else None
    if request is None or (is_in_words and answer is None):
        return None
    named = request.places | (answer.places if answer else frozenset())
    return InstructionTurn(
        task,
        {name: value for name, value in values.items() if name in named},
        wordings.fill(request, inputs),
        wordings.fill(answer, values) if answer else about,
    )


def _true_of(
    names: frozenset[str], tune: Subject, about: str, draw: random.Random
) -> dict[str, str]:
    """Return the conditions of the tune that hold for the text of the answer."""
    answer = tune.parse_again(about)
    values = {}
    for name in sorted(names):
        value = CONDITIONS[name].find(tune, draw)
        if value and CONDITIONS[name].holds(value, answer):
            values[name] = value
    return values
