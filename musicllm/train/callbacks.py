"""What watches a run: metrics, the progress bar, and the stop when the loss is not a number.

They act at the ends of optimizer steps, in the order in which `fit` lists them. Saving is
`resuming`'s.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from musicllm import artifacts, console
from musicllm.data.batches import MicroBatch
from musicllm.errors import StageError
from musicllm.train import metrics
from musicllm.train.loading import TimedLoader
from musicllm.train.module import CausalLMModule

METRICS = "metrics.jsonl"
NOT_FINITE = "not-finite.json"


class StepClock:
    """Seconds spent on steps: validations and checkpoints do not count."""

    def __init__(self) -> None:
        """Start."""
        self._lap_began = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap, and begin the next."""
        now = time.perf_counter()
        seconds, self._lap_began = now - self._lap_began, now
        return seconds

    def leave_out(self, seconds: float) -> None:
        """Take time off the current lap."""
        self._lap_began += seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out what happens inside."""
        began = time.perf_counter()
        yield
        self.leave_out(time.perf_counter() - began)


@dataclass
class Totals:
    """Work done by this process and the ranks beside it; see `Metrics`."""

    num_steps: int = 0
    num_tokens: int = 0
    num_supervised: int = 0
    seconds: float = 0.0
    data_wait_s: float = 0.0

    def add(self, other: Totals) -> None:
        """Add what another one counted."""
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


class Metrics(Callback):  # type: ignore[misc]
    """Writes metrics.jsonl and to loggers; must come first, because it finishes the step's loss.

    `train/*` are of the step itself; `perf/*` are means over the steps since the last line.

    Attributes:
        totals: of all steps of this process.
    """

    def __init__(
        self, folder: Path, loader: TimedLoader, clock: StepClock, *, every: int, throughput: bool
    ) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            loader: of the training batches.
            clock: paused by others while they save.
            every: steps between lines; the last step always has one.
            throughput: also write `perf/*`.
        """
        self.totals = Totals()
        self._window = Totals()
        self._path = folder / METRICS
        self._loader = loader
        self._clock = clock
        self._every = every
        self._throughput = throughput
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
        num_tokens = module.finish_step()
        wait_s, self._loader.wait_s = self._loader.wait_s, 0.0
        supervised = batch["num_supervised_in_step"]
        self._window.add(Totals(1, num_tokens, supervised, self._clock.lap(), wait_s))
        is_last = step == module.schedule.num_steps
        if step % self._every == 0 or is_last:
            self._write(trainer, self._of_step(module))
        trainer.should_stop = is_last  # which also makes Lightning validate after the last step

    def on_validation_start(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        """Note the time."""
        self._validation_began = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Write the validation loss, and take its time off the step's."""
        loss = module.validation_loss
        self._write(trainer, {"val/loss": loss, "val/perplexity": perplexity(loss)})
        self._clock.leave_out(time.perf_counter() - self._validation_began)

    def _of_step(self, module: CausalLMModule) -> dict[str, float]:
        values = {
            "train/loss": module.step_loss,
            "train/perplexity": perplexity(module.step_loss),
            "train/grad_norm": float(module.grad_norm),
            "train/learning_rate": module.learning_rate(self._step),
        }
        if self._throughput:
            values |= self._window.speeds()
        self.totals.add(self._window)
        self._window = Totals()
        return values

    def _write(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        if not trainer.is_global_zero:
            return
        metrics.append(self._path, self._step, values)
        for logger in trainer.loggers:
            logger.log_metrics(dict(values), step=self._step)


class Progress(Callback):  # type: ignore[misc]
    """Moves the progress bar, with the loss beside it."""

    def __init__(self, advance: console.Advance) -> None:
        """Watch a run; `advance` is that of `console.progress`."""
        self._advance = advance

    def on_train_batch_end(
        self, _trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Count a finished step."""
        if module.finished_steps(batch_idx + 1) is not None:
            note = f"loss {module.step_loss:.3f}"
            if math.isfinite(module.validation_loss):
                note += f", validation {module.validation_loss:.3f}"
            self._advance(note=note)


class StopOnNaN(Callback):  # type: ignore[misc]
    """Stops the run at the first step whose loss is not finite, and names its rows."""

    def __init__(self, folder: Path, rows_of_step: Callable[[int], Iterable[int]]) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            rows_of_step: rows that a step reads, which is counted from 0.
        """
        self._path = folder / NOT_FINITE
        self._rows_of_step = rows_of_step

    def on_train_batch_end(
        self, _trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Check a finished step.

        Raises:
            StageError: its loss is NaN or infinite.
        """
        step = module.finished_steps(batch_idx + 1)
        if step is None or math.isfinite(module.step_loss):
            return
        rows = [int(row) for row in self._rows_of_step(step - 1)]
        artifacts.write_json(
            self._path, {"step": step, "loss": str(module.step_loss), "rows": rows}
        )
        raise StageError(
            f"the loss of step {step} is {module.step_loss}; its {len(rows)} rows of the training "
            f"split are listed in {self._path}; a lower optimizer.lr, a longer warm-up, or bf16 "
            f"instead of fp16 usually helps"
        )


def perplexity(loss: float) -> float:
    """Return e to the loss, infinity where that is too large."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf
