"""Runs contestants one after the other, round by round, each in a process of its own.

Interleaving makes them share whatever the machine does meanwhile; a fresh process keeps the memory,
caches and threads of one from the next. A contestant measures its own seconds, so that starting
Python and importing packages do not count.
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

Value = TypeVar("Value")

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Contestant:
    """Something that is measured.

    Attributes:
        run: picklable; does the work once and returns its seconds.
        amount: of work in one run.
        unit: plural name of what is counted.
    """

    run: Callable[[], float]
    amount: float
    unit: str


@dataclass(frozen=True)
class Timing:
    """What was measured of a contestant.

    Attributes:
        seconds: of every round.
        amount: of work in one round.
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
        """Slowest less fastest round, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / statistics.median(self.seconds)

    def as_json(self) -> dict[str, Any]:
        """Return the figures under their names in bench.json."""
        return {
            "rate": self.rate,
            "unit": f"{self.unit}/s",
            "median_s": statistics.median(self.seconds),
            "seconds": list(self.seconds),
            "spread": self.spread,
        }


def in_turns(runs: Mapping[str, Callable[[], Value]], num_rounds: int) -> dict[str, list[Value]]:
    """Return what each returns in every round, apart; each round begins with another one.

    Raises:
        StageError: one of the processes died.
    """
    names = list(runs)
    made: dict[str, list[Value]] = {name: [] for name in names}
    with console.progress("measuring", num_rounds * len(names), "run") as advance:
        for number in range(num_rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                made[name].append(apart(runs[name]))
                advance(note=name)
    return made


def measure(contestants: Mapping[str, Contestant], num_rounds: int) -> dict[str, Timing]:
    """Run every contestant in every round; each round begins with another one.

    Raises:
        StageError: a contestant's process died.
    """
    seconds = in_turns({name: one.run for name, one in contestants.items()}, num_rounds)
    return {
        name: Timing(tuple(seconds[name]), contestant.amount, contestant.unit)
        for name, contestant in contestants.items()
    }


def apart(function: Callable[[], Value]) -> Value:
    """Return what a function returns in a fresh process.

    Raises:
        StageError: the process died.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            return pool.submit(function).result()
        except BrokenProcessPool:
            raise StageError(
                "a measured process died, as it does when memory runs out; "
                "measure less with bench.num_documents"
            ) from None


def rows_of(timings: Mapping[str, Timing]) -> Sequence[Sequence[object]]:
    """Return the lines of a table: contestant, rate, median of the seconds, spread, rounds."""
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
    """Return a rate as a whole number, a small one with three digits."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def memory_bytes(key: str) -> int:
    """Return one of the system's figures for this process, such as VmHWM (Linux: `man proc`)."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))
