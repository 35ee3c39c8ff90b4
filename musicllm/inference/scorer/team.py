"""The processes that score together, each with a copy of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from musicllm.inference.scorer.planning import Portion


class Team(Protocol):
    """Several processes, or one."""

    @property
    def rank(self) -> int:
        """Number of this process."""

    @property
    def size(self) -> int:
        """How many there are."""

    def gather(self, value: Any) -> list[Any]:
        """Return what every process has, in the order of their ranks; all must call it."""


class Alone:
    """A team of one."""

    rank, size = 0, 1

    def gather(self, value: Any) -> list[Any]:
        """Return the one value."""
        return [value]


def dealt(portions: Sequence[Portion], size: int) -> list[list[Portion]]:
    """Deal portions out so that every process feeds about as many tokens; order is kept."""
    loads = [0] * size
    hands: list[list[int]] = [[] for _ in range(size)]
    for number in sorted(range(len(portions)), key=lambda number: -portions[number].cost):
        least = loads.index(min(loads))
        loads[least] += portions[number].cost
        hands[least].append(number)
    return [[portions[number] for number in sorted(hand)] for hand in hands]
