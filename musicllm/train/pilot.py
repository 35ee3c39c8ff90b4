"""Measures the pace of a run by its first steps, for `training.max_hours`.

A pilot is the run itself with the same machine, strategy and rows, in a folder of its own: steps,
then one validation, one set of samples, one evaluation and one save. Its steps change the model and
are not kept, so the run that follows equals one whose number of steps was set. Callbacks of the
user, loggers and the policy for bad losses are left out, since they act on the outside.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING

from musicllm import console
from musicllm.launch import ranks
from musicllm.train import group
from musicllm.train.callbacks import EXTRA, FitContext, Observer, observers
from musicllm.train.callbacks.checkpoints import Checkpoints
from musicllm.train.checkpoints import Writer
from musicllm.train.hours import Pace
from musicllm.train.settings import FitSettings

if TYPE_CHECKING:
    from musicllm.train.readings import Reading

WARM_UP = 2
"""Steps that are not measured: they allocate, choose kernels and compile."""

FEWEST = 3
"""Steps that are measured at least."""

MOST_STEPS = 100_000
"""Steps of a pilot's plan; it ends when enough are measured."""


class Pilot(Observer):
    """Times steps until enough are measured, and then one save."""

    def __init__(self, limit_s: float, began: float) -> None:
        """Set when it is enough.

        Args:
            limit_s: seconds of measured steps, and at least `FEWEST`.
            began: `time.perf_counter()` at the start of the stage.
        """
        self._limit_s = limit_s
        self._stage_began = began
        self._began = self._pause_s = self._first_step = 0.0
        self._start_s = self._step_s = self._end_s = 0.0
        self._readings: list[Reading] = []
        self._pauses: dict[str, float] = {}

    def observers(self, context: FitContext) -> list[Observer]:
        """Return those of the run that take time, and this one."""
        context.is_over = self._is_over
        outside = {EXTRA, "progress", "checkpoints"}
        if context.settings.callbacks.on_bad_loss != "skip":  # which waits for every loss
            outside.add("incidents")
        return [*observers(context, without=outside), self]

    def start(self, context: FitContext) -> None:
        """Note the time, after an evaluation of the initial model."""
        context.interruption.listen()
        self._first_step = time.perf_counter()
        self._start_s = self._first_step - self._stage_began

    def before_step(self, context: FitContext, finished: int) -> None:
        """Stop if a signal was received.

        Raises:
            SystemExit: it was.
        """
        del finished
        if context.stop_requested():
            if ranks.is_main():
                console.note("stopped while steps were measured; the same command starts again")
            context.barrier()
            raise SystemExit(context.interruption.exit_code)

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Start or end the measurement, when the device has finished the step."""
        reading = context.module.readings.newest
        assert reading is not None, "a step is finished before it is observed"
        if step > WARM_UP:
            self._readings.append(reading)
        if step == WARM_UP or is_last:
            reading.wait()
            seconds = time.perf_counter() - self._began
            if is_last:
                paused = context.clock.total_pause_s() - self._pause_s
                self._step_s = (seconds - paused) / len(self._readings)
            else:
                self._began, self._pause_s = time.perf_counter(), context.clock.total_pause_s()

    def _is_over(self, step: int) -> bool:
        enough = step >= WARM_UP + FEWEST and time.perf_counter() - self._began >= self._limit_s
        return group.from_main(lambda: enough)

    def end(self, context: FitContext) -> None:
        """Save once."""
        writer = None
        if ranks.is_main():
            writer = Writer(context.folder, *context.identities, keep_last=1, keep_best=0)
        began = time.perf_counter()
        Checkpoints(writer, every=MOST_STEPS).save_last(context)
        self._end_s = time.perf_counter() - began
        self._pauses = {name: fmean(seconds) for name, seconds in context.clock.pauses.items()}

    def pace(self, tokens_per_step: float) -> Pace:
        """Return the measured times.

        Args:
            tokens_per_step: mean of the run, to which the time of the measured steps is scaled.
        """
        measured = fmean(reading.num_tokens for reading in self._readings)
        first_s = self._began - self._first_step - WARM_UP * self._step_s
        return Pace(
            step_s=self._step_s * tokens_per_step / measured,
            start_s=self._start_s + max(0.0, first_s),
            end_s=self._end_s,
            num_steps=len(self._readings),
            pauses=self._pauses,
        )


def settings_of(settings: FitSettings) -> FitSettings:
    """Return the settings of a pilot: nothing happens between steps before the last.

    The learning rate stays near the start of a warm-up, so that no step diverges.
    """
    return replace(
        settings,
        schedule=replace(settings.schedule, num_steps=MOST_STEPS, warmup_steps=MOST_STEPS),
        training=replace(
            settings.training,
            validate_every_steps=MOST_STEPS,
            checkpoint_every_steps=MOST_STEPS,
        ),
        callbacks=replace(
            settings.callbacks,
            samples_every_steps=settings.callbacks.samples_every_steps and MOST_STEPS,
            evaluate_every_steps=settings.callbacks.evaluate_every_steps and MOST_STEPS,
        ),
        loggers=(),
    )
