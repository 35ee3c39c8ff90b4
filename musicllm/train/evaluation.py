"""Benchmarks during training: measured every so many steps on the model as it is, and logged.

What is asked and how an answer is judged is not known here: callables from outside do that.
Training does not notice: modes of modules, random states, compiled code and clock are as before, so
a run with evaluations has the weights of one without, bit by bit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import nn
from transformers import PreTrainedModel

from musicllm.data.batches import MicroBatch
from musicllm.model.adapters import causal_model
from musicllm.train import group, metrics
from musicllm.train.module import CausalLMModule
from musicllm.train.samples import in_use
from musicllm.train.speed import StepClock

Measure = Callable[[PreTrainedModel], Mapping[str, float | None]]
"""From a model in evaluation mode, with its adapter inside, to metrics; None is left out."""

PREFIX = "eval"
SECONDS = "perf/evaluation_s"


@dataclass(frozen=True)
class Evaluation:
    """What is measured during a run.

    Attributes:
        every_steps: optimizer steps between evaluations; one more before the first step, and one
            after the last.
        measures: by name of the benchmark; other ranks than 0 need none, as they only wait.
    """

    every_steps: int
    measures: Mapping[str, Measure]


class Evaluations(Callback):  # type: ignore[misc]
    """Measures on rank 0, where the whole model must lie; the other ranks wait for it."""

    def __init__(
        self,
        folder: Path,
        evaluation: Evaluation,
        clock: StepClock,
        *,
        before: Callable[[Trainer, CausalLMModule], None],
    ) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            evaluation: see there.
            clock: paused meanwhile.
            before: raises when the last step was bad, so that no broken model is asked.
        """
        self._path = folder / metrics.NAME
        self._evaluation = evaluation
        self._clock = clock
        self._before = before

    def on_train_start(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Measure what training starts from; a run that goes back to its start knows it."""
        if module.start_step == 0 and not group.from_main(self._has_start):
            self._evaluate(trainer, module, 0)

    def on_train_batch_end(
        self, trainer: Trainer, module: CausalLMModule, _: Any, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Measure, if it is time."""
        step = module.finished_steps(batch_idx + 1)
        if step is None or (step % self._evaluation.every_steps and not trainer.should_stop):
            return
        self._before(trainer, module)
        self._evaluate(trainer, module, step)

    def _has_start(self) -> bool:
        return any(SECONDS in line for line in metrics.read(self._path) if line["step"] == 0)

    def _evaluate(self, trainer: Trainer, module: CausalLMModule, step: int) -> None:
        with self._clock.paused():
            if trainer.is_global_zero:
                with trainer.precision_plugin.val_step_context(), module.mixed():
                    values = measured(module.model, self._evaluation.measures)
                metrics.report(self._path, step, values, trainer.loggers)
            group.barrier()


def measured(model: nn.Module, measures: Mapping[str, Measure]) -> dict[str, float]:
    """Return what all benchmarks found, by `eval/<benchmark>/<metric>`, and how long it took.

    Args:
        model: as it is trained; it is left as it was.
        measures: by name of the benchmark.
    """
    began = time.perf_counter()
    values: dict[str, float] = {}
    with unnoticed(model):
        for benchmark, measure in measures.items():
            found = measure(causal_model(model))
            values |= {
                f"{PREFIX}/{benchmark}/{name}": value
                for name, value in found.items()
                if value is not None
            }
    return values | {SECONDS: time.perf_counter() - began}


@contextmanager
def unnoticed(model: nn.Module) -> Iterator[None]:
    """Use a model between two steps so that the second does not notice.

    More than `in_use`: Python's and numpy's random states come back, too, and compiled layers run
    as they are written, since new shapes and modes would let the compiler choose other code for
    the steps to come. On a GPU memory that the steps use by turns is free meanwhile.
    """
    states = random.getstate(), np.random.get_state()
    torch.cuda.empty_cache()  # nothing where there is no GPU
    try:
        with ExitStack() as stack:
            stack.enter_context(in_use(model))
            if any(module._compiled_call_impl is not None for module in model.modules()):
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        torch.cuda.empty_cache()
        random.setstate(states[0])
        np.random.set_state(states[1])
