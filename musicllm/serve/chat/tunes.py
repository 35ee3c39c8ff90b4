"""The lines that show a tune of an answer: what it is, its first bars, and bars that do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.music import abc
from musicllm.music.grammar import Grammar, TuneRules, place_of
from musicllm.serve.answers import CheckedTune
from musicllm.serve.repair.faults import lengths
from musicllm.serve.showing import draw_tune, visible

NUM_BARS = 8
"""Bars that are drawn of a tune, if the terminal is wide enough."""

NUM_FAULTS = 3
"""Bars that are named of those that do not fit."""


def lines_of(number: int, tune: CheckedTune, width: int) -> Iterator[str]:
    """Yield the lines that show a tune.

    Args:
        number: by which commands name it.
        tune: of an answer.
        width: columns of the terminal.
    """
    if not tune.parses:
        yield f"tune {number}: {why_not(tune)}"
        return
    score = abc.parse(tune.abc)
    description, *staff = draw_tune(score, NUM_BARS, width=width - 1)
    yield f"tune {number}: {description}"
    yield from staff
    faults = abc.check(score).faults
    for fault in faults[:NUM_FAULTS]:
        actual, expected = lengths(fault)
        yield f"bar {fault.bar + 1} does not fit: {actual} instead of {expected}"
    if len(faults) > NUM_FAULTS:
        yield f"and {len(faults) - NUM_FAULTS} more bars do not fit"


def breach_of(answer: str, rules: TuneRules, *, is_whole: bool) -> str:
    """Return where an answer is not legal; empty where it is.

    Args:
        answer: of an engine that does not sample under the grammar.
        rules: of its tunes.
        is_whole: whether the model ended it.
    """
    state, length = Grammar(rules).read(answer)
    if length < len(answer):
        return f'{place_of(answer, length)}: "{visible(answer[length])}" cannot stand here'
    return "it ends within a tune, or without one" if is_whole and not state.may_end else ""


def why_not(tune: CheckedTune) -> str:
    """Return why a tune cannot be read."""
    return visible("; ".join(tune.problems))
