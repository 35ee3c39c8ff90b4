"""Performance of a run: time of steps, throughput, utilisation, memory.

For the metrics that come of it see `callbacks.metrics`.
"""

from __future__ import annotations

import resource
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BYTES_OF_RSS = 1 if sys.platform == "darwin" else 1024
"""Unit in which the system counts the resident set."""


class StepClock:
    """Seconds spent on steps, without validations, checkpoints and samples.

    Attributes:
        pauses: seconds of each pause, by what happened in it.
    """

    def __init__(self) -> None:
        """Start."""
        self.pauses: dict[str, list[float]] = defaultdict(list)
        self._lap_began = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap, and start the next."""
        now = time.perf_counter()
        seconds, self._lap_began = now - self._lap_began, now
        return seconds

    def leave_out(self, seconds: float, reason: str) -> None:
        """Subtract a pause from the current lap."""
        self.pauses[reason].append(seconds)
        self._lap_began += seconds

    @contextmanager
    def paused(self, reason: str) -> Iterator[None]:
        """Exclude the time of the block."""
        began = time.perf_counter()
        yield
        self.leave_out(time.perf_counter() - began, reason)

    def total_pause_s(self) -> float:
        """Return the seconds of all pauses."""
        return sum(sum(seconds) for seconds in self.pauses.values())


@dataclass
class Totals:
    """Work done by this process and the other ranks.

    Attributes:
        num_steps: optimizer steps.
        num_tokens: tokens over all ranks.
        num_supervised: supervised tokens over all ranks.
        seconds: spent on steps.
        data_wait_s: of them, seconds in which this rank waited for data.
    """

    num_steps: int = 0
    num_tokens: int = 0
    num_supervised: int = 0
    seconds: float = 0.0
    data_wait_s: float = 0.0

    def add(self, other: Totals) -> None:
        """Add other totals."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def speeds(self) -> dict[str, float]:
        """Return the means, by the names of metrics."""
        return {
            "perf/tokens_per_s": self.num_tokens / self.seconds,
            "perf/supervised_tokens_per_s": self.num_supervised / self.seconds,
            "perf/step_time_s": self.seconds / self.num_steps,
            "perf/data_wait_s": self.data_wait_s / self.num_steps,
        }


def mfu(tokens_per_s: float, flops_per_token: float, peak_flops_per_s: float) -> float:
    """Return the model FLOPs utilisation (PaLM, arXiv 2204.02311, appendix B).

    Args:
        tokens_per_s: of one device.
        flops_per_token: of training, without recomputation; see `model.flops`.
        peak_flops_per_s: of the device, in the precision of the run.
    """
    return tokens_per_s * flops_per_token / peak_flops_per_s


def memory_peak_gb(device: torch.device) -> float:
    """Return the most memory held so far, in 10^9 bytes: tensors on a GPU, else resident pages."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_OF_RSS / 1e9
