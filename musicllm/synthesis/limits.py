"""What a run may send and spend: a pace per minute, and a budget that is never exceeded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from musicllm.errors import StageError

MINUTE_S = 60.0
MILLION = 1e6


@dataclass(frozen=True)
class Usage:
    """Tokens of prompts and of answers."""

    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of both."""
        return Usage(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )

    def __sub__(self, other: Usage) -> Usage:
        """Return what is left without the other."""
        return Usage(
            self.input_tokens - other.input_tokens, self.output_tokens - other.output_tokens
        )

    @property
    def total(self) -> int:
        """Tokens of both together."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class Prices:
    """Prices of a million tokens, in any currency."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return the price of tokens."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / MILLION


class Bucket:
    """Units that may be used per minute, evenly: a bucket that fills again while time passes.

    It holds what a second allows, at least one unit, so a run begins slowly, too; what is used
    beyond it (an answer that was longer than expected) is waited for afterwards.

    Args:
        per_minute: units; None for no limit.
        clock: seconds that only grow.
    """

    def __init__(
        self, per_minute: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = None if per_minute is None else per_minute / MINUTE_S
        self._most = 0.0 if self._rate is None else max(1.0, self._rate)
        self._clock = clock
        self._level, self._time = self._most, clock()

    def wait_s(self) -> float:
        """Return the seconds until something may be used; 0 where it may be now."""
        if self._rate is None:
            return 0.0
        self._fill()
        need = min(1.0, self._most)
        return max(0.0, (need - self._level) / self._rate)

    def use(self, units: float) -> None:
        """Take units out, or put back what was not used."""
        if self._rate is not None:
            self._fill()
            self._level -= units

    def _fill(self) -> None:
        assert self._rate is not None, "a bucket without a rate is not filled"
        now = self._clock()
        self._level = min(self._most, self._level + (now - self._time) * self._rate)
        self._time = now


class Budget:
    """What a run may spend in all; what is under way counts with its upper bound.

    Args:
        prices: of tokens.
        max_cost: most money; None for any.
        max_tokens: most tokens; None for any.
        spent: by this run, before it was interrupted.

    Attributes:
        spent: tokens of what has come.
    """

    def __init__(
        self, prices: Prices, max_cost: float | None, max_tokens: int | None, spent: Usage
    ) -> None:
        self.prices = prices
        self.spent = spent
        self._max_cost, self._max_tokens = max_cost, max_tokens
        self._reserved = Usage()

    @property
    def cost(self) -> float:
        """Money spent."""
        return self.prices.cost(self.spent)

    def allows(self, bound: Usage) -> bool:
        """Return whether a question with this upper bound stays within the budget."""
        total = self.spent + self._reserved + bound
        fits_cost = self._max_cost is None or self.prices.cost(total) <= self._max_cost
        return fits_cost and (self._max_tokens is None or total.total <= self._max_tokens)

    def reserve(self, bound: Usage) -> None:
        """Set tokens aside for a question."""
        self._reserved += bound

    def settle(self, bound: Usage, usage: Usage) -> None:
        """Replace what was set aside by what was used."""
        self._reserved -= bound
        self.spent += usage

    def refuse(self, num_settled: int, num_items: int) -> StageError:
        """Return the error of a budget that does not suffice."""
        if self._max_cost is not None and self.prices.input + self.prices.output > 0:
            limit, spent = f"synthesis.max_cost={self._max_cost:g}", f"{self.cost:.4g}"
        else:
            limit, spent = f"synthesis.max_tokens={self._max_tokens}", f"{self.spent.total:,}"
        if self._max_tokens is not None and self._max_cost is not None:
            limit += f" or synthesis.max_tokens={self._max_tokens}"
            spent += f" and {self.spent.total:,} tokens"
        return StageError(
            f"{limit} is used up: {spent} are spent, the next question could exceed it, and "
            f"{num_settled:,} of {num_items:,} items are finished; their answers are stored, and "
            f"the same command with a larger budget (or synthesis.max_items) continues"
        )
