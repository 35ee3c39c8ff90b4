"""Measures steps before a run on a CPU and undoes them: seconds per step by number of threads.

Only numbers of threads that compute the same bits as the default are compared (see `threads`), so
the measurement never changes a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from musicllm.data.batches import MicroBatch
from musicllm.train.objectives import Objective

NUM_MICRO_BATCHES = 4
"""Micro-batches of a rehearsal: one to compare bits and to warm up, the others for the time."""

PATIENCE_S = 20.0
"""Above this time of the first step, no other numbers of threads are tried."""


@dataclass(frozen=True)
class Rehearsal:
    """The measured steps.

    Attributes:
        step_s: median seconds of an optimizer step by number of threads, including the default.
        other_bits: numbers of threads that round differently and were not measured.
    """

    step_s: Mapping[int, float]
    other_bits: tuple[int, ...] = ()

    @property
    def num_threads(self) -> int:
        """The fastest number of threads."""
        return min(self.step_s, key=lambda number: self.step_s[number])

    @property
    def fastest_step_s(self) -> float:
        """Seconds of a step with that number."""
        return self.step_s[self.num_threads]

    def as_text(self) -> str:
        """Return the fastest number of threads and all measurements, for people."""
        times = [f"{step_s:.2f} s a step with {n}" for n, step_s in self.step_s.items()]
        times += [f"{number} not tried, since it rounds differently" for number in self.other_bits]
        return f"{self.num_threads}: {', '.join(times)}"

    def as_dict(self) -> dict[str, Any]:
        """Return the measurements, for plan.json."""
        return {"num_threads": self.num_threads, **asdict(self)}


@dataclass(frozen=True)
class Steps:
    """The steps of a run, to be rehearsed.

    Attributes:
        model: as it is trained; restored afterwards.
        make_optimizer: from the model to its optimizer.
        objective: what is minimised.
        micro_batches: the first `NUM_MICRO_BATCHES` of the run, or all if there are fewer.
        accumulation: micro-batches of an optimizer step.
        gradient_clip: L2 norm; 0 is off.
        autocast: dtype of matrix products; None for that of the weights.
    """

    model: nn.Module
    make_optimizer: Callable[[nn.Module], Optimizer]
    objective: Objective
    micro_batches: Sequence[MicroBatch]
    accumulation: int
    gradient_clip: float
    autocast: torch.dtype | None

    @property
    def weights(self) -> list[nn.Parameter]:
        """The trained parameters."""
        return [weight for weight in self.model.parameters() if weight.requires_grad]


def rehearse(steps: Steps, threads: Sequence[int]) -> Rehearsal:
    """Measure steps with several numbers of threads, and undo them.

    Cost: `NUM_MICRO_BATCHES` micro-batches and updates for every number of threads, and a second
    copy of the trained weights in memory.

    Args:
        steps: of the run.
        threads: numbers to try, the default last.
    """
    with _undone(steps.weights):
        same = _with_same_bits(steps, threads)
        seconds: dict[int, list[float]] = {number: [] for number in same}
        optimizer = steps.make_optimizer(steps.model)
        for micro_batch in steps.micro_batches[1:] or steps.micro_batches:
            for number in same:
                seconds[number].append(_step(steps, micro_batch, optimizer, number))
    step_s = {number: median(times) for number, times in seconds.items()}
    return Rehearsal(step_s, tuple(number for number in threads if number not in same))


@contextmanager
def _undone(weights: Sequence[nn.Parameter]) -> Iterator[None]:
    """Restore weights, number of threads and random state after the block."""
    threads, before = torch.get_num_threads(), _copies(weights)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)
        _put_back(weights, before)


def _with_same_bits(steps: Steps, threads: Sequence[int]) -> list[int]:
    """Return the numbers of threads whose first step gives the same weights as the last number."""
    start = _copies(steps.weights)
    same, expected = [threads[-1]], None
    for number in reversed(threads):
        optimizer = steps.make_optimizer(steps.model)
        seconds = _step(steps, steps.micro_batches[0], optimizer, number)
        weights = _copies(steps.weights)
        _put_back(steps.weights, start)
        if expected is None:
            expected = weights
            if seconds > PATIENCE_S:
                break
        elif all(torch.equal(a, b) for a, b in zip(weights, expected, strict=True)):
            same.append(number)
    return sorted(same)


def _step(steps: Steps, micro_batch: MicroBatch, optimizer: Optimizer, num_threads: int) -> float:
    """Make a step of one micro-batch; return the seconds extrapolated to the accumulation."""
    torch.set_num_threads(num_threads)
    torch.manual_seed(0)  # of dropout
    began = time.perf_counter()
    with torch.autocast("cpu", steps.autocast, enabled=steps.autocast is not None):
        loss = steps.objective.loss(steps.model, micro_batch)
        nll = loss / max(1, micro_batch["num_supervised_in_step"])
    nll.backward()  # type: ignore[no-untyped-call]
    computed = time.perf_counter()
    nn.utils.clip_grad_norm_(steps.weights, steps.gradient_clip or float("inf"))
    optimizer.step()
    optimizer.zero_grad()
    ended = time.perf_counter()
    return steps.accumulation * (computed - began) + (ended - computed)


def _copies(weights: Sequence[nn.Parameter]) -> list[Tensor]:
    return [weight.detach().clone() for weight in weights]


def _put_back(weights: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)
            weight.grad = None
