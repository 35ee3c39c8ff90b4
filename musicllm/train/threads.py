"""The fastest number of threads on a CPU that does not change results.

More threads are not always faster: they wait for each other, so one busy core slows all of them.
Only numbers of threads that compute the same bits as the default are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import torch
from torch import Tensor

NUM_ROUNDS = 3
PATIENCE_S = 2.0
"""Above this time of the first round, no other numbers of threads are tried."""


def candidates(most: int) -> tuple[int, ...]:
    """Return the numbers of threads to try, ascending: one, half, all but one, all."""
    return tuple(sorted({1, max(1, most // 2), max(1, most - 1), most}))


def quickest(work: Callable[[], Tensor], threads: Sequence[int]) -> int:
    """Return the number of threads with which some work is fastest; torch's is not changed.

    Cost: `NUM_ROUNDS` + 1 times the work for every number.

    Args:
        work: returns its result, the same every time.
        threads: numbers to try, the default last.
    """
    before = torch.get_num_threads()
    try:
        expected, seconds = _timed(work, threads[-1])
        if seconds > PATIENCE_S:
            return threads[-1]
        same = [n for n in threads[:-1] if torch.equal(_timed(work, n)[0], expected)]
        times: dict[int, list[float]] = {number: [] for number in (*same, threads[-1])}
        for _ in range(NUM_ROUNDS):
            for number, own in times.items():
                own.append(_timed(work, number)[1])
    finally:
        torch.set_num_threads(before)
    return min(times, key=lambda number: median(times[number]))


def _timed(work: Callable[[], Tensor], num_threads: int) -> tuple[Tensor, float]:
    torch.set_num_threads(num_threads)
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began
