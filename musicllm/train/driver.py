"""The step driver: the callback of Lightning that finishes optimizer steps.

Lightning counts micro-batches; the driver turns them into optimizer steps, and calls every observer
in the order of `callbacks.ORDER`, with the number of the step and whether it is the last.
"""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, Trainer
from torch.optim import Optimizer

from musicllm.data.batches import MicroBatch
from musicllm.train.callbacks import FitContext
from musicllm.train.module import CausalLMModule


class StepDriver(Callback):  # type: ignore[misc]
    """Finishes steps and calls the observers; runs before callbacks of the user."""

    def __init__(self, context: FitContext) -> None:
        """Drive a training with the observers of its context."""
        self._context = context
        self._validation_began = 0.0

    def on_train_start(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Call `start`."""
        self._context.trainer, self._context.module = trainer, module
        for observer in self._context.observers:
            observer.start(self._context)

    def on_train_batch_start(
        self, _trainer: Trainer, module: CausalLMModule, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """At the first micro-batch of a step, call `before_step`."""
        finished = module.finished_steps(batch_idx)
        if finished is None:
            return
        self._context.current_step = module.finished_steps(batch_idx + module.accumulation) or 0
        for observer in self._context.observers:
            observer.before_step(self._context, finished)

    def on_before_optimizer_step(
        self, _trainer: Trainer, _module: CausalLMModule, _optimizer: Optimizer
    ) -> None:
        """Call `before_update`."""
        for observer in self._context.observers:
            observer.before_update(self._context)

    def on_train_batch_end(
        self, trainer: Trainer, module: CausalLMModule, _: Any, batch: MicroBatch, batch_idx: int
    ) -> None:
        """At the last micro-batch of a step, finish it and call `after_step`."""
        step = module.finished_steps(batch_idx + 1)
        if step is None:
            return
        is_last = batch_idx + 1 == len(self._context.loader) or self._context.is_over(step)
        self._context.num_supervised = batch["num_supervised_in_step"]
        module.finish_step(step)
        for observer in self._context.observers:
            observer.after_step(self._context, step, is_last=is_last)
        trainer.should_stop = is_last  # which also makes Lightning validate after the last step

    def on_validation_start(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        """Record the time."""
        self._validation_began = time.perf_counter()

    def on_validation_end(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        """Call `after_validation`, and exclude the validation from the time of the step."""
        for observer in self._context.observers:
            observer.after_validation(self._context)
        self._context.clock.leave_out(time.perf_counter() - self._validation_began, "validation")

    def on_exception(
        self, _trainer: Trainer, _module: CausalLMModule, _exception: BaseException
    ) -> None:
        """Call `failed`."""
        for observer in self._context.observers:
            observer.failed(self._context)


class LastCall(Callback):  # type: ignore[misc]
    """Ends the observers; runs after callbacks of the user.

    Some of these change the weights when training ends, such as Lightning's weight averaging, and
    the last checkpoint has the final weights.
    """

    def __init__(self, context: FitContext) -> None:
        """End the observers of a context."""
        self._context = context

    def on_train_end(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        """Call `end`."""
        for observer in self._context.observers:
            observer.end(self._context)
