"""Whether an answer is what the brief wanted, field by field; and what the right answer is."""

from __future__ import annotations

import random
from dataclasses import dataclass

from musicllm.data.instructions import FAMILIES, key_in_words
from musicllm.data.instructions.conditions import CONDITIONS
from musicllm.data.instructions.subject import Subject
from musicllm.errors import InputError
from musicllm.music.abc import parse_key
from musicllm.serve.answers import check_tunes
from musicllm.serve.composing.brief import Brief
from musicllm.serve.composing.offers import LABELS
from musicllm.serve.composing.wishes import conditions

_CONDITION_OF = {"num_bars": "bars"}
"""Field -> condition, where their names differ."""


@dataclass(frozen=True)
class Met:
    """One field of a brief beside the answer.

    Attributes:
        field: its name.
        label: for people.
        value: that was wanted, for people.
        is_met: whether the tune of the answer has it.
    """

    field: str
    label: str
    value: str
    is_met: bool


def met(brief: Brief, answer: str) -> list[Met]:
    """Return which fields the first tune of an answer has; empty where the answer is in words.

    An answer without a tune that can be read has none of them. Cost: milliseconds.

    Args:
        brief: one that has no complaints.
        answer: of the model.
    """
    if not brief.writes_tune:
        return []
    tune = _first_tune(answer)
    compared = []
    for name, value in _wanted(brief).items():
        condition = CONDITIONS[_CONDITION_OF.get(name, name)]
        is_met = tune is not None and bool(condition.holds(value, tune))
        shown = value.strip().splitlines()[-1] if name == "opening" else value
        compared.append(Met(name, LABELS[name], shown, is_met))
    return compared


def right_answer(brief: Brief) -> str | None:
    """Return what is computed for a question about a tune; None for a request for a tune.

    Args:
        brief: one that has no complaints.
    """
    if brief.writes_tune or brief.tune is None:
        return None
    (name,) = FAMILIES[brief.task].needs
    value = CONDITIONS[name].find(Subject(brief.tune), random.Random(0))
    return value or "this tune has none"


def _wanted(brief: Brief) -> dict[str, str]:
    """Return the fields that can be compared, each as its condition."""
    stated = {name: str(value) for name, value in brief.stated.items() if name != "tune"}
    if "key" in stated:
        stated["key"] = key_in_words(parse_key(stated["key"]))
    if "terms" in stated:
        stated["terms"] = conditions(brief)["terms"]
    return stated


def _first_tune(answer: str) -> Subject | None:
    for tune in check_tunes(answer):
        try:
            return Subject(tune.abc)
        except InputError:
            continue
    return None
