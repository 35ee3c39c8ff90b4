"""One question and its answer about a tune, worded and checked."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from musicllm.data.instructions.conditions import CONDITIONS
from musicllm.data.instructions.families import FAMILIES
from musicllm.data.instructions.subject import Subject
from musicllm.data.instructions.wordings import Wordings


@dataclass(frozen=True)
class Turn:
    """A question and its answer.

    Attributes:
        task: its family.
        conditions: what the question or the answer names, the whole tune aside.
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
    shown: str | None = None,
) -> Turn | None:
    """Make a turn of a family; None where the tune offers nothing for it.

    Args:
        task: a key of `FAMILIES`.
        tune: what it is about.
        wordings: of the language.
        draw: decides wordings and openings.
        follows: whether the tune was given in an earlier turn.
        shown: the text that the request gives as the tune; None for what the family shows.
    """
    family = FAMILIES[task]
    about = family.answer_about(tune)
    values = {} if about is None else _true_of(family.names, tune, about, draw)
    if about is None or not family.needs <= values.keys():
        return None
    given = {**values, "tune": shown or family.shows(tune)} if family.shows else values
    request = wordings.choose(task, "follow_ups" if follows else "requests", given, draw)
    is_in_words = family.answer == "words"
    answer = wordings.choose(task, "answers", values, draw) if is_in_words else None
    if request is None or (is_in_words and answer is None):
        return None
    named = request.places | (answer.places if answer else frozenset())
    return Turn(
        task,
        {name: value for name, value in values.items() if name in named},
        wordings.fill(request, given),
        wordings.fill(answer, values) if answer else about,
    )


def _true_of(
    names: frozenset[str], tune: Subject, about: str, draw: random.Random
) -> dict[str, str]:
    """Return the conditions that the tune offers and that are true of the text to be written."""
    written = tune.read_again(about)
    values = {}
    for name in sorted(names):
        value = CONDITIONS[name].find(tune, draw)
        if value and CONDITIONS[name].holds(value, written):
            values[name] = value
    return values
