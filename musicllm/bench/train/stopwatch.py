"""Measures time, tokens and memory of training steps and their parts.

On a GPU each part ends with a synchronization, or its time would count for a later one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback

from musicllm.bench.measuring import memory_bytes

PARTS = ("data", "forward", "backward", "optimizer")

WARM_UP_STEPS = 2
"""First steps, which are not measured: memory is allocated, kernels are selected or compiled."""


@dataclass(frozen=True)
class Measurement:
    """The measurements of a contestant in one round, without warm-up steps.

    Attributes:
        seconds: of every step.
        parts: mean seconds per step by part, if the contestant can be split.
        num_tokens: of these steps, without padding.
        num_supervised: of these tokens.
        peak_bytes: of the process on a CPU, of torch's allocator on a GPU.
        first_step_s: from the start of the contestant to the end of its first step.
    """

    seconds: tuple[float, ...]
    parts: Mapping[str, float]
    num_tokens: float
    num_supervised: float
    peak_bytes: int
    first_step_s: float


class Stopwatch:
    """Accumulates the time of parts and steps."""

    def __init__(self, device: torch.device) -> None:
        """Start the clock."""
        self._device = device
        self._began = time.perf_counter()
        self._mark = self._began
        self._current = dict.fromkeys(PARTS, 0.0)
        self._tokens = [0.0, 0.0]
        self._steps: list[tuple[dict[str, float], float, float]] = []
        self._first_step_s = 0.0

    def start(self) -> None:
        """Begin the first step, after the setup."""
        self._mark = time.perf_counter()

    def part(self, name: str) -> None:
        """End a part, which began when the last one ended."""
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        self._current[name] += now - self._mark
        self._mark = now

    def count_tokens(self, num_tokens: float, num_supervised: float) -> None:
        """Add tokens to the current step."""
        self._tokens = [self._tokens[0] + num_tokens, self._tokens[1] + num_supervised]

    def end_step(self) -> None:
        """End the current step."""
        if not self._steps:
            self._first_step_s = time.perf_counter() - self._began
        self._steps.append((self._current, *self._tokens))  # type: ignore[arg-type]
        self._current, self._tokens = dict.fromkeys(PARTS, 0.0), [0.0, 0.0]

    def measured(self) -> Measurement:
        """Return the measurements without warm-up steps."""
        steps = self._steps[WARM_UP_STEPS:]
        assert steps, f"{len(self._steps)} steps are too few to leave out the first {WARM_UP_STEPS}"
        return Measurement(
            seconds=tuple(sum(parts.values()) for parts, _, _ in steps),
            parts={name: sum(parts[name] for parts, _, _ in steps) / len(steps) for name in PARTS},
            num_tokens=sum(tokens for _, tokens, _ in steps),
            num_supervised=sum(supervised for _, _, supervised in steps),
            peak_bytes=peak_bytes(self._device),
            first_step_s=self._first_step_s,
        )


class StepTimes(Callback):  # type: ignore[misc]
    """Reports Lightning's events to a stopwatch."""

    def __init__(self, stopwatch: Stopwatch, accumulation: int) -> None:
        """Measure a run with `accumulation` micro-batches per step."""
        self._stopwatch = stopwatch
        self._accumulation = accumulation

    def on_train_start(self, *_: Any) -> None:
        """Begin the first step."""
        self._stopwatch.start()

    def on_train_batch_start(self, *_: Any) -> None:
        """End waiting for data, and Lightning's work between batches."""
        self._stopwatch.part("data")

    def on_before_backward(self, *_: Any) -> None:
        """End the forward pass."""
        self._stopwatch.part("forward")

    def on_after_backward(self, *_: Any) -> None:
        """End the backward pass."""
        self._stopwatch.part("backward")

    def on_train_batch_end(
        self, _trainer: Any, _module: Any, _outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End clipping, the update and the callbacks before this one."""
        self._stopwatch.part("optimizer")
        ends_step = (batch_idx + 1) % self._accumulation == 0
        self._stopwatch.count_tokens(
            batch["input_ids"].numel(), batch["num_supervised_in_step"] if ends_step else 0
        )
        if ends_step:
            self._stopwatch.end_step()


def peak_bytes(device: torch.device) -> int:
    """Return the peak memory of this process so far."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    return memory_bytes("VmHWM")
