"""Which jobs a sweep runs: a search proposes values of the swept settings and learns the metric.

The grid proposes every combination; it does not learn.
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
    """A proposal of a search: its number and the values."""

    number: int
    values: Values


class Search(Protocol):
    """Proposes jobs to the sweep.

    Attributes:
        num_jobs: how many there are in all.
    """

    num_jobs: int

    def ask(self) -> Draw | None:
        """Return the next job, or None when there is none left."""

    def tell(self, number: int, value: float | None) -> None:
        """Record the metric of a job; None when it failed or has none."""


class Grid:
    """Every combination, the last setting of the command changing fastest."""

    def __init__(self, space: Space) -> None:
        """Refuse intervals, which have no steps.

        Raises:
            ConfigError: an interval is among the swept settings.
        """
        draws = [Draw(number, values) for number, values in enumerate(_product(space))]
        self.num_jobs = len(draws)
        self._draws = iter(draws)

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
