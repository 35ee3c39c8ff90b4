"""Saves checkpoints during a run and restores one at its start.

Lightning's own checkpoints are not used: it sees the remaining steps as one epoch, so there is no
loop to restore, and only trained parameters are saved. The checkpoint of a step is saved when the
step is complete, including its metrics and validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from musicllm import console
from musicllm.launch import ranks
from musicllm.train import loggers
from musicllm.train.callbacks import CALLBACKS, CallbackKind, FitContext, Observer

if TYPE_CHECKING:
    from musicllm.train.checkpoints import Writer


class Checkpoints(Observer):
    """Restores, saves every `every` steps, and stops after a save if a signal was received."""

    def __init__(self, writer: Writer | None, *, every: int) -> None:
        """Set where and when checkpoints are saved.

        Args:
            writer: None on ranks other than 0.
            every: steps between checkpoints; the last step is always saved.
        """
        self._writer = writer
        self._every = every
        self._score: float | None = None

    def start(self, context: FitContext) -> None:
        """Restore optimizer and loss scaler, and listen to signals."""
        from musicllm.train.state import restore_optimizer

        trainer, module = context.trainer, context.module
        if context.restored is not None:  # its weights are in the model already
            state = context.restored.state()
            restore_optimizer(trainer, module.model, state["optimizer"])
            trainer.precision_plugin.load_state_dict(state["precision"])
        # so that validation is at the same steps as in an uninterrupted run
        num_micro_batches = module.start_step * module.accumulation
        trainer.fit_loop.epoch_loop.batch_progress.total.ready = num_micro_batches
        context.interruption.listen()

    def before_step(self, context: FitContext, finished: int) -> None:
        """Save the finished step if it is due or a signal was received."""
        if finished == context.module.start_step:
            return
        stop = context.stop_requested()
        if stop or finished % self._every == 0:
            self._save(context, finished)
        self._score = None
        if stop:
            self._stop(context, finished)

    def after_validation(self, context: FitContext) -> None:
        """Store the score of the step that may be saved next."""
        self._score = context.module.validation_loss

    def save_last(self, context: FitContext) -> None:
        """Save the last step, and wait until it is on the disk."""
        self._save(context, context.plan.num_steps)
        self._wait()

    def end(self, context: FitContext) -> None:
        """Save the last step."""
        self.save_last(context)
        if context.stop_requested():
            self._stop(context, context.plan.num_steps)

    def failed(self, _context: FitContext) -> None:
        """Wait for the last save."""
        self._wait()

    def _save(self, context: FitContext, step: int) -> None:
        from musicllm.train.state import gather_optimizer, gather_weights

        context.require_good_steps()
        trainer, model = context.trainer, context.module.model
        with context.clock.paused("checkpoint"):
            weights = gather_weights(trainer, model)
            state: dict[str, Any] = {
                "optimizer": gather_optimizer(trainer, model),
                "precision": trainer.precision_plugin.state_dict(),
            }
            if self._writer is not None:
                self._writer.save(step, weights, state, self._score)
            context.barrier()

    def _wait(self) -> None:
        if self._writer is not None:
            self._writer.wait()

    def _stop(self, context: FitContext, step: int) -> None:
        from musicllm.train.checkpoints import folder_of

        self._wait()
        loggers.close()
        context.barrier()  # a launcher kills the others soon after the first process has ended
        if context.trainer.is_global_zero:
            console.note(
                f"stopped after step {step} of {context.plan.num_steps}, which is saved in "
                f"{folder_of(context.folder, step)}; the same command continues there"
            )
        raise SystemExit(context.interruption.exit_code)


class CheckpointsKind(CallbackKind):
    """`training.checkpoint_every_steps`, `keep_last_checkpoints` and `keep_best_checkpoints`."""

    name = "checkpoints"

    def build(self, context: FitContext, _options: Mapping[str, Any]) -> Observer:
        """See `CallbackKind`."""
        from musicllm.train.checkpoints import Writer

        training, writer = context.settings.training, None
        if ranks.is_main():
            writer = Writer(
                context.folder,
                *context.identities,
                keep_last=training.keep_last_checkpoints,
                keep_best=training.keep_best_checkpoints,
            )
        return Checkpoints(writer, every=training.checkpoint_every_steps)


CHECKPOINTS = CALLBACKS.register(CheckpointsKind())
