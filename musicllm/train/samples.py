"""Tunes written during training, so that one sees and hears what the losses mean.

How a model writes a tune, what is measured about it and how it is drawn is not known here: a
callable from outside does that. Training does not notice: modes of modules, random state and clock
are as before, so a run with samples has the weights of one without.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import nn

from musicllm.data.batches import MicroBatch
from musicllm.train import loggers, metrics
from musicllm.train.module import CausalLMModule
from musicllm.train.speed import StepClock
from musicllm.train.tunes import SampleTune, folder_of, write_tunes


@dataclass(frozen=True)
class SampleReport:
    """The texts of one step, and what was measured about them; names begin with `music/`."""

    metrics: dict[str, float]
    tunes: list[SampleTune]


SampleWriter = Callable[[nn.Module, int, Path | None], SampleReport]
"""From the model, the step and a folder for files to what it wrote.

Every rank calls it, since a model may be spread over them; only rank 0 gives a folder.
"""


class Samples(Callback):  # type: ignore[misc]
    """Lets the model write every so many steps and at the end; stands after `Incidents`."""

    def __init__(self, folder: Path, write: SampleWriter, clock: StepClock, *, every: int) -> None:
        """Watch a run.

        Args:
            folder: the run folder; files go into `samples/step-<N>/`.
            write: see `SampleWriter`.
            clock: paused meanwhile.
            every: steps between samples.
        """
        self._run = folder
        self._write = write
        self._clock = clock
        self._every = every

    def on_train_batch_end(
        self, trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Write, if it is time."""
        step = module.finished_steps(batch_idx + 1)
        if step is None or (step % self._every and not trainer.should_stop):
            return
        with self._clock.paused():
            folder = self._fresh_folder(step) if trainer.is_global_zero else None
            with in_use(module.model), trainer.precision_plugin.val_step_context(), module.mixed():
                report = self._write(module.model, step, folder)
            if folder is not None:
                write_tunes(folder, report.tunes)
                metrics.report(self._run / metrics.NAME, step, report.metrics, trainer.loggers)
                loggers.show_tunes(trainer.loggers, step, report.tunes)

    def _fresh_folder(self, step: int) -> Path:
        """Return an empty folder; one that is there is of a start that came to nothing."""
        folder = folder_of(self._run, step)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


@contextmanager
def in_use(model: nn.Module) -> Iterator[None]:
    """Put a model that is trained into evaluation mode, and leave everything as it was.

    Modes are kept for each module, and the random states of the CPU and of the model's device.
    """
    modes = {module: module.training for module in model.modules()}
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else []
    model.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
