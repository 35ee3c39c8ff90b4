"""The sampling callback: tunes sampled during training, to see and hear what the losses mean.

Sampling, metrics of tunes and rendering are done by a function from outside. Modes of modules,
random state and clock are restored, so a run with samples has the same weights as one without.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from musicllm.errors import Problem
from musicllm.schema import CallbacksConfig, HardwareConfig, StrategyConfig
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer
from musicllm.train.tunes import SampleWriter, folder_of, write_tunes


class Samples(Observer):
    """Samples every `every` steps and at the end, into `samples/step-<N>/`."""

    def __init__(self, write: SampleWriter, *, every: int) -> None:
        """Set what is sampled and when.

        Args:
            write: see `SampleWriter`.
            every: steps between samples.
        """
        self._write = write
        self._every = every

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        """Sample if it is due."""
        from musicllm.train.between_steps import evaluation_mode

        if step % self._every and not is_last:
            return
        trainer, module = context.trainer, context.module
        with context.clock.paused("samples"):
            folder = None
            if trainer.is_global_zero:
                folder = folder_of(context.folder, step)
                shutil.rmtree(folder, ignore_errors=True)  # of an interrupted start
                folder.mkdir(parents=True)
            precision = trainer.precision_plugin.val_step_context()
            with evaluation_mode(module.model), precision, module.mixed():
                report = self._write(module.model, step, folder)
            if folder is not None:
                write_tunes(folder, report.tunes)
                context.report(step, report.metrics)
                context.show_tunes(step, report.tunes)


class SamplesKind(CallbackKind):
    """`callbacks.samples_every_steps`, `num_samples` and `sample_prompts`."""

    name = "samples"

    def build(self, context: FitContext, _options: Mapping[str, Any]) -> Observer | None:
        """See `CallbackKind`."""
        every = context.settings.callbacks.samples_every_steps
        if every is None or context.write_samples is None:
            return None
        return Samples(context.write_samples, every=every)

    def problems(
        self, callbacks: CallbacksConfig, _hardware: HardwareConfig, strategy: StrategyConfig
    ) -> Iterator[Problem]:
        """Yield more prompts than samples, and samples of a partitioned model."""
        every, num_prompts = callbacks.samples_every_steps, len(callbacks.sample_prompts)
        if num_prompts > callbacks.num_samples:
            rule = f"is less than the {num_prompts} callbacks.sample_prompts"
            fix = f"write {num_prompts}"
            yield Problem("callbacks.num_samples", callbacks.num_samples, rule, fix)
        if every is not None and strategy.zero_stage == 3:
            rule = "needs whole weights on one device, which ZeRO 3 does not keep"
            yield Problem("callbacks.samples_every_steps", every, rule, "use zero2, or null")


SAMPLES = CALLBACKS.register(SamplesKind())
