"""What writes down how a run goes: metrics, and the progress bar.

They act at the ends of optimizer steps, in the order in which `fit` lists them. Bad losses are the
business of `incidents`, the loss scale that of `scaling`, tunes that of `samples`, and saving that
of `resuming`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from musicllm import console
from musicllm.data.batches import MicroBatch
from musicllm.train import metrics
from musicllm.train.loading import TimedLoader
from musicllm.train.module import CausalLMModule
from musicllm.train.readings import Reading
from musicllm.train.scaling import SkippedSteps
from musicllm.train.speed import StepClock, Totals, memory_peak_gb, mfu


class Metrics(Callback):  # type: ignore[misc]
    """Writes metrics.jsonl and to loggers; finishes the step's loss, so others come after it.

    `train/*` are of the step itself, `perf/*` means over the steps since the last line: tokens are
    those of all ranks together, `perf/data_wait_s` and `perf/memory_peak_gb` those of the rank
    that has most. The device is waited for in steps that get a line, and in no others.

    Attributes:
        totals: of all steps of this process.
    """

    def __init__(
        self,
        folder: Path,
        loader: TimedLoader,
        clock: StepClock,
        skipped: SkippedSteps,
        *,
        every: int,
        throughput: bool,
        flops_per_token: float | None,
        peak_flops_per_s: float | None,
    ) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            loader: of the training batches.
            clock: paused by others while they save or write tunes.
            skipped: knows the loss scale, if there is one.
            every: steps between lines; the last step always has one.
            throughput: also write `perf/*`.
            flops_per_token: of training; None leaves `perf/mfu` out.
            peak_flops_per_s: of one device; None leaves `perf/mfu` out.
        """
        self.totals = Totals()
        self._window = Totals()
        self._readings: list[Reading] = []
        self._path = folder / metrics.NAME
        self._loader = loader
        self._clock = clock
        self._skipped = skipped
        self._every = every
        self._throughput = throughput
        self._flops = (flops_per_token, peak_flops_per_s)
        self._step = 0
        self._validation_began = 0.0

    def on_train_start(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        """Start the clock; what came before was setting up."""
        self._clock.lap()

    def on_train_batch_end(
        self, trainer: Trainer, module: CausalLMModule, _: Any, batch: MicroBatch, batch_idx: int
    ) -> None:
        """Count a finished step, and write it when its turn has come."""
        step = module.finished_steps(batch_idx + 1)
        if step is None:
            return
        self._step = step
        reading = module.finish_step(step)
        self._readings.append(reading)
        is_last = batch_idx + 1 == len(self._loader)
        is_due = step % self._every == 0 or is_last
        if is_due:
            reading.wait()  # before the time is taken, so that it holds the device's work
        wait_s, self._loader.wait_s = self._loader.wait_s, 0.0
        self._window.add(Totals(1, 0, batch["num_supervised_in_step"], self._clock.lap(), wait_s))
        if is_due:
            self._write(trainer, self._line(trainer, module, reading))
        trainer.should_stop = is_last  # which also makes Lightning validate after the last step

    def on_validation_start(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        """Note the time."""
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Write the validation losses, and take their time off the step's."""
        loss = module.validation_loss
        by_source = {f"val/loss/{name}": own for name, own in module.validation_losses.items()}
        self._write(trainer, {"val/loss": loss, "val/perplexity": perplexity(loss)} | by_source)
        self._clock.leave_out(time.perf_counter() - self._validation_began)

    def _line(self, trainer: Trainer, module: CausalLMModule, reading: Reading) -> dict[str, float]:
        self._window.num_tokens = sum(each.num_tokens for each in self._readings)
        values = {
            "train/loss": reading.loss,
            "train/perplexity": perplexity(reading.loss),
            "train/grad_norm": reading.grad_norm,
            "train/learning_rate": module.learning_rate(self._step),
            **self._skipped.values(),
        }
        if self._throughput:
            values |= self._performance(trainer, module.device)
        self.totals.add(self._window)
        self._window, self._readings = Totals(), []
        return values

    def _performance(self, trainer: Trainer, device: torch.device) -> dict[str, float]:
        values = self._window.speeds()
        own = [values["perf/data_wait_s"], memory_peak_gb(device)]
        most = trainer.strategy.reduce(
            torch.tensor(own, dtype=torch.double, device=device), reduce_op="max"
        )
        values["perf/data_wait_s"], values["perf/memory_peak_gb"] = most.tolist()
        flops_per_token, peak = self._flops
        if flops_per_token is not None and peak is not None:
            per_device = values["perf/tokens_per_s"] / trainer.world_size
            values["perf/mfu"] = mfu(per_device, flops_per_token, peak)
        return values

    def _write(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        if trainer.is_global_zero:
            metrics.report(self._path, self._step, values, trainer.loggers)


class Progress(Callback):  # type: ignore[misc]
    """Moves the progress bar, with the loss beside it; on a GPU that of the step before."""

    def __init__(self, advance: console.Advance) -> None:
        """Watch a run; `advance` is that of `console.progress`."""
        self._advance = advance

    def on_train_batch_end(
        self, _trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Count a finished step."""
        if module.finished_steps(batch_idx + 1) is None:
            return
        reading = module.readings.settled
        notes = [] if reading is None else [f"loss {reading.loss:.3f}"]
        if math.isfinite(module.validation_loss):
            notes.append(f"validation {module.validation_loss:.3f}")
        self._advance(note=", ".join(notes))


def perplexity(loss: float) -> float:
    """Return e to the loss, infinity where that is too large."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
