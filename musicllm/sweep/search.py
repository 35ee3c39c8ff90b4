"""Which jobs a sweep runs: a search hands out values of the swept settings and hears the outcome.

The grid hands out every combination; it does not learn.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from musicllm.errors import ConfigError, Problem
from musicllm.sweep.space import Interval, Space

Values = dict[str, object]
"""A value of every swept setting, by its key."""


@dataclass(frozen=True)
class Draw:
    """What a search hands out: a number that names it, and the values."""

    number: int
    values: Values


class Search(Protocol):
    """What the sweep asks for jobs.

    Attributes:
        num_jobs: how many there are in all.
    """

    num_jobs: int

    def ask(self) -> Draw | None:
        """Return the next job, or None when there is none left."""

    def tell(self, number: int, value: float | None) -> None:
        """Hear the metric of a job; None when it failed or has none."""


class Grid:
    """Every combination, the last setting of the command changing fastest."""

    def __init__(self, space: Space) -> None:
        """Refuse what has no steps.

        Raises:
            ConfigError: an interval is among the swept settings.
        """
        self.num_jobs = space.num_combinations or 0
        self._draws = iter([Draw(number, values) for number, values in enumerate(_product(space))])

    def ask(self) -> Draw | None:
        """Return the next combination."""
        return next(self._draws, None)

    def tell(self, number: int, value: float | None) -> None:
        """A grid does not learn."""


def _product(space: Space) -> Iterator[Values]:
    columns = []
    for axis in space.axes:
        if isinstance(axis.values, Interval):
            text = f"interval({axis.values.low},{axis.values.high})"
            rule = "has no steps, so a grid cannot try all of it"
            raise ConfigError([Problem(axis.key, text, rule, "write a list, or sweep=optuna")])
        columns.append(axis.values)
    keys = [axis.key for axis in space.axes]
    for values in itertools.product(*columns):
        yield dict(zip(keys, values, strict=True))
