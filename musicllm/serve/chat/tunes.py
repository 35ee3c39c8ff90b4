"""The tunes in an answer: each with its checks, and drawn as text."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.serve.showing import draw_tune, visible

NUM_BARS = 8
"""Bars that are drawn of a tune, if the terminal is wide enough."""

NUM_FAULTS = 3
"""Bars that are named of those that do not fit."""

SMALLEST = 8
"""Lengths are written in eighths, or in smaller values where they need it."""


class AnsweredTune(NamedTuple):
    """A tune in an answer.

    Attributes:
        text: the tune alone.
        score: as it is read; None if it cannot be.
        problem: why it cannot be read.
    """

    text: str
    score: abc.Score | None
    problem: str = ""


def tunes_in(answer: str) -> list[AnsweredTune]:
    """Return the tunes of an answer, in order; linear in its length."""
    return [_read(answer[span.start : span.stop]) for span in abc.find_tunes(answer)]


def lines_of(number: int, tune: AnsweredTune, width: int) -> Iterator[str]:
    """Yield the lines that show a tune: its number, description, first bars and faults.

    Args:
        number: by which commands name it.
        tune: of an answer.
        width: columns of the terminal.
    """
    if tune.score is None:
        yield f"tune {number}: cannot be read: {visible(tune.problem)}"
        return
    description, *staff = draw_tune(tune.score, NUM_BARS, width=width - 1)
    yield f"tune {number}: {description}"
    yield from staff
    faults = abc.check(tune.score).faults
    for fault in faults[:NUM_FAULTS]:
        unit = lcm(SMALLEST, fault.expected.denominator, fault.actual.denominator)
        actual, expected = _in(unit, fault.actual), _in(unit, fault.expected)
        yield f"bar {fault.bar + 1} does not fit: {actual} instead of {expected}"
    if len(faults) > NUM_FAULTS:
        yield f"and {len(faults) - NUM_FAULTS} more bars do not fit"


def _read(text: str) -> AnsweredTune:
    tune = abc.unfold(text)
    try:
        return AnsweredTune(tune, abc.parse(tune))
    except InputError as error:
        return AnsweredTune(tune, None, str(error))


def _in(unit: int, length: Fraction) -> str:
    return f"{length * unit}/{unit}"
