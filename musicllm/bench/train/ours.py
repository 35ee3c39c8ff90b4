"""Our contestant: a training run as in `recipe=sft`, with its callbacks."""

from __future__ import annotations

import dataclasses
import shutil

from musicllm.bench.train.stopwatch import WARM_UP_STEPS, Measurement, StepTimes, Stopwatch
from musicllm.bench.train.task import TrainTask
from musicllm.train.fit import TrainingRun
from musicllm.train.schedule import Schedule
from musicllm.train.settings import FitSettings

NEVER = 1 << 40


def ours(task: TrainTask) -> Measurement:
    """Train with `TrainingRun`, including metrics, checks of the loss and the last checkpoint."""
    stopwatch = Stopwatch(task.device)
    plan = task.plan(task.training.num_steps + WARM_UP_STEPS)
    folder = task.work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    TrainingRun(
        model=task.build_packed(),
        train_rows=task.rows("train"),
        validation_rows=task.rows("validation"),
        plan=plan,
        settings=_settings(task, plan.num_steps),
        machine=task.training.machine,
        folder=folder,
        identity="bench",
        callbacks=(StepTimes(stopwatch, plan.accumulation),),
    ).fit()
    return stopwatch.measured()


def _settings(task: TrainTask, num_steps: int) -> FitSettings:
    training = task.training
    return FitSettings(
        seed=task.seed,
        optimizer=training.optimizer,
        schedule=Schedule("constant", num_steps, 0, 1.0),
        training=dataclasses.replace(
            training.fit,
            gradient_clip=training.gradient_clip,
            validate_every_steps=NEVER,
            checkpoint_every_steps=NEVER,
            keep_last_checkpoints=1,
            keep_best_checkpoints=0,
        ),
        callbacks=dataclasses.replace(
            training.callbacks,
            progress_bar=False,
            throughput=True,
            on_bad_loss="stop",
            loss_spike_factor=None,
            samples_every_steps=None,
            extra={},
        ),
        loggers=(),
        flops_per_token=None,
        peak_flops_per_s=None,
        source_names=(),
        logged_settings={},
    )
