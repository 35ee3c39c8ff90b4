"""The duration of a run: its FLOPs over the machine's rate, or the measured time of its steps.

The rate is a profile's published peak times the share of it that training reaches (MFU); on a CPU
the peak is measured here. If steps were rehearsed, their time is used instead.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import torch

from musicllm.model.flops import Documents


@dataclass(frozen=True)
class Duration:
    """The work of a run and its time.

    Attributes:
        num_steps: optimizer steps.
        num_tokens: of the run.
        supervised_share: share of supervised tokens.
        mean_context: keys that a token attends to, on average.
        flops_per_token: of `model.flops.train_flops_per_token`.
        flops_per_update: of the optimizer; every device computes them.
        peak_flops_per_s: of all devices together; None if unknown.
        expected_mfu: share of the peak that training reaches.
        num_devices: over all nodes.
        rehearsed_step_s: seconds of a step, measured before the run; None without a rehearsal.
    """

    num_steps: int
    num_tokens: int
    supervised_share: float
    mean_context: float
    flops_per_token: float
    flops_per_update: float
    peak_flops_per_s: float | None
    expected_mfu: float | None
    num_devices: int
    rehearsed_step_s: float | None

    @property
    def step_s(self) -> float | None:
        """Seconds of a step, on average."""
        if self.rehearsed_step_s is not None:
            return self.rehearsed_step_s
        if self.peak_flops_per_s is None or self.expected_mfu is None:
            return None
        per_step = self.flops_per_token * self.num_tokens / self.num_steps
        flops = per_step + self.flops_per_update * self.num_devices
        return flops / (self.peak_flops_per_s * self.expected_mfu)

    @property
    def tokens_per_s(self) -> float | None:
        """Over all devices."""
        step_s = self.step_s
        return None if step_s is None else self.num_tokens / self.num_steps / step_s

    @property
    def hours(self) -> float | None:
        """Of training steps alone."""
        step_s = self.step_s
        return None if step_s is None else self.num_steps * step_s / 3600


@dataclass(frozen=True)
class Text:
    """Averages over the rows of a split.

    Attributes:
        fill: tokens as a share of the capacity of the rows.
        supervised_share: supervised tokens as a share of all.
        documents: their lengths.
    """

    fill: float
    supervised_share: float
    documents: Documents


def text_of(split: Mapping[str, Any] | None, max_length: int) -> Text:
    """Describe the rows of a prepared split; without one, each row is one document of full length.

    Document lengths are taken from a histogram with powers of two as edges.

    Args:
        split: facts of the split: rows, tokens, supervised_tokens and the histogram `lengths`.
        max_length: tokens in a row.
    """
    if split is None or not split["tokens"]:
        return Text(1.0, 1.0, Documents.of([max_length]))
    edges, counts = split["lengths"]["edges"], split["lengths"]["counts"]
    middles = [min(max_length, (low + high) / 2) for low, high in pairwise(edges)]
    tokens: int = split["tokens"]
    return Text(
        fill=min(1.0, tokens / (split["rows"] * max_length)),
        supervised_share=split["supervised_tokens"] / tokens,
        documents=Documents(tuple(zip(middles, counts, strict=True))),
    )


@cache
def measured_cpu_flops_per_s(dtype: str, num_threads: int | None) -> float:
    """Measure the rate of matrix products of this machine, in about half a second.

    The fastest of several products of 1024 x 1024 matrices counts, to reduce the effect of other
    load.

    Args:
        dtype: float32, float16 or bfloat16.
        num_threads: of torch; None for its current number.
    """
    size, threads = 1024, torch.get_num_threads()
    torch.set_num_threads(num_threads or threads)
    try:
        matrix = torch.ones(size, size, dtype=getattr(torch, dtype))
        best, started = 0.0, time.perf_counter()
        while time.perf_counter() - started < 0.3 or not best:
            begin = time.perf_counter()
            matrix @ matrix
            best = max(best, 2 * size**3 / (time.perf_counter() - begin))
    finally:
        torch.set_num_threads(threads)
    return best
