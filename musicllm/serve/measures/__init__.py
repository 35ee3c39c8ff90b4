"""Measures by which the best of several answers is chosen (`generation.select`), from 0 to 1.

A measure is a module here, or one of the user's own (`extensions`), that registers a `Measure`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from musicllm.registry import Registry

if TYPE_CHECKING:
    from musicllm.evals.copies import CopyIndex
    from musicllm.evals.requests import Request
    from musicllm.serve.answers import CheckedTune


@dataclass(frozen=True)
class Answer:
    """What is measured.

    Attributes:
        request: the prompt, with the conditions that a tune must meet.
        text: the answer, after the beginning that it continues.
        finished: the model ended it itself.
        tunes: all of it, checked.
        index: of the training texts; None unless a measure needs it.
    """

    request: Request
    text: str
    finished: bool
    tunes: Sequence[CheckedTune]
    index: CopyIndex | None


@dataclass(frozen=True)
class Measure:
    """A measure of answers.

    Attributes:
        name: value of `generation.select`.
        meaning: in a few words.
        value: of an answer, from 0 to 1; higher is better. None: there is nothing to measure, and
            the answer is not counted.
        needs_index: it compares with the training texts (inputs.corpus, or inputs.instructions).
    """

    name: str
    meaning: str
    value: Callable[[Answer], float | None]
    needs_index: bool = False


MEASURES: Registry[Measure] = Registry("measure of answers", __name__)
