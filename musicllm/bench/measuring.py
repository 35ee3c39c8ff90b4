"""Runs contestants interleaved, round by round, each in a fresh process.

Interleaving spreads the load of the machine evenly over them; a fresh process isolates memory,
caches and threads. A contestant measures its own time, so that starting
Python and importing packages are not timed.
"""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from musicllm import console
from musicllm.errors import StageError
from musicllm.registry import load_extensions, loaded_extensions

Value = TypeVar("Value")

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Contestant:
    """A function to measure.

    Attributes:
        run: picklable; does the work once and returns the seconds.
        amount: of work per run.
        unit: plural name of the unit of work.
    """

    run: Callable[[], float]
    amount: float
    unit: str


@dataclass(frozen=True)
class Timing:
    """The measurements of a contestant.

    Attributes:
        seconds: of every round.
        amount: of work per round.
        unit: of the work.
    """

    seconds: tuple[float, ...]
    amount: float
    unit: str

    @property
    def rate(self) -> float:
        """Work per second, by the median of the rounds."""
        return self.amount / statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Difference of the slowest and the fastest round, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / statistics.median(self.seconds)

    def as_json(self) -> dict[str, Any]:
        """Return the figures for bench.json."""
        return {
            "rate": self.rate,
            "unit": f"{self.unit}/s",
            "median_s": statistics.median(self.seconds),
            "seconds": list(self.seconds),
            "spread": self.spread,
        }


def run_rounds(runs: Mapping[str, Callable[[], Value]], num_rounds: int) -> dict[str, list[Value]]:
    """Return the results of each function by round; each round starts with another function.

    Raises:
        StageError: one of the processes died.
    """
    names = list(runs)
    results: dict[str, list[Value]] = {name: [] for name in names}
    with console.progress("measuring", num_rounds * len(names), "run") as advance:
        for number in range(num_rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                results[name].append(in_fresh_process(runs[name]))
                advance(note=name)
    return results


def measure(contestants: Mapping[str, Contestant], num_rounds: int) -> dict[str, Timing]:
    """Run every contestant in every round; each round starts with another one.

    Raises:
        StageError: a contestant's process died.
    """
    seconds = run_rounds(
        {name: contestant.run for name, contestant in contestants.items()}, num_rounds
    )
    return {
        name: Timing(tuple(seconds[name]), contestant.amount, contestant.unit)
        for name, contestant in contestants.items()
    }


def in_fresh_process(function: Callable[[], Value]) -> Value:
    """Return the result of a function, run in a fresh process.

    Raises:
        StageError: the process died.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, load_extensions, (loaded_extensions(),)) as pool:
        try:
            return pool.submit(function).result()
        except BrokenProcessPool:
            raise StageError(
                "a measured process died, as it does when memory runs out; "
                "measure less with bench.num_documents"
            ) from None


def rows_of(timings: Mapping[str, Timing]) -> Sequence[Sequence[object]]:
    """Return the rows of a table: contestant, rate, median seconds, spread, rounds."""
    return [
        (
            name,
            f"{_rate(timing.rate)} {timing.unit}/s",
            f"{statistics.median(timing.seconds):.2f}",
            f"{timing.spread:.0%}",
            len(timing.seconds),
        )
        for name, timing in timings.items()
    ]


def _rate(rate: float) -> str:
    """Format a rate as an integer, small ones with three digits."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def memory_bytes(key: str) -> int:
    """Return a memory figure of this process, such as VmHWM (Linux, `man proc`)."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
