"""Metrics of training and validation, in metrics.jsonl and to the loggers.

`train/*` are of the step itself, `perf/*` means over the steps since the last line: tokens are
those of all ranks together, `perf/data_wait_s` and `perf/memory_peak_gb` the maximum over the
ranks. The device is synchronised only in steps that are logged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer
from musicllm.train.speed import Totals, memory_peak_gb, mfu

if TYPE_CHECKING:
    from musicllm.train.readings import Reading


class Metrics(Observer):
    """Writes a line every `training.log_every_steps` steps and one for every validation."""

    def __init__(self) -> None:
        """Start with empty totals."""
        self._window = Totals()
        self._readings: list[Reading] = []
        self._step = 0

    def start(self, context: FitContext) -> None:
        """Start the clock, without the time of the setup."""
        context.clock.lap()

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Count a finished step, and log it if it is due."""
        self._step = step
        reading, loader = context.module.readings.newest, context.loader
        assert reading is not None, "a step is finished before it is observed"
        self._readings.append(reading)
        is_due = step % context.settings.training.log_every_steps == 0 or is_last
        if is_due:
            reading.wait()  # before the lap, so that it includes the device's work
        wait_s, loader.wait_s = loader.wait_s, 0.0
        self._window.add(Totals(1, 0, context.num_supervised, context.clock.lap(), wait_s))
        if is_due:
            context.report(step, self._line(context, reading))

    def after_validation(self, context: FitContext) -> None:
        """Log the validation losses."""
        loss = context.module.validation_loss
        losses = context.module.validation_losses
        by_source = {f"val/loss/{name}": mean for name, mean in losses.items()}
        values = {"val/loss": loss, "val/perplexity": perplexity(loss)} | by_source
        context.report(self._step, values)

    def _line(self, context: FitContext, reading: Reading) -> dict[str, float]:
        self._window.num_tokens = sum(step.num_tokens for step in self._readings)
        further = reading.further
        values = {
            "train/loss": reading.loss,
            "train/perplexity": perplexity(further.get("nll", reading.loss)),
            "train/grad_norm": reading.grad_norm,
            "train/learning_rate": context.module.learning_rate(self._step),
        }
        values |= {f"train/{name}": value for name, value in further.items()}
        for observer in context.observers:
            values |= observer.values()
        if context.settings.callbacks.throughput:
            values |= self._performance(context)
        context.totals.add(self._window)
        self._window, self._readings = Totals(), []
        return values

    def _performance(self, context: FitContext) -> dict[str, float]:
        import torch

        device, settings = context.module.device, context.settings
        values = self._window.speeds()
        own = [values["perf/data_wait_s"], memory_peak_gb(device)]
        largest = context.trainer.strategy.reduce(
            torch.tensor(own, dtype=torch.double, device=device), reduce_op="max"
        )
        values["perf/data_wait_s"], values["perf/memory_peak_gb"] = largest.tolist()
        if settings.flops_per_token is not None and settings.peak_flops_per_s is not None:
            tokens_per_s = values["perf/tokens_per_s"] / context.trainer.world_size
            values["perf/mfu"] = mfu(
                tokens_per_s, settings.flops_per_token, settings.peak_flops_per_s
            )
        return values


def perplexity(loss: float) -> float:
    """Return exp(loss), or infinity on overflow."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


class MetricsKind(CallbackKind):
    """`callbacks.throughput` and `training.log_every_steps`."""

    name = "metrics"

    def build(self, _context: FitContext, _options: Mapping[str, Any]) -> Observer:
        """See `CallbackKind`."""
        return Metrics()


METRICS = CALLBACKS.register(MetricsKind())
