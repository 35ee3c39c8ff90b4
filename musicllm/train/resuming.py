"""Saves checkpoints during a run and puts their state back at its start.

Lightning's own checkpoints are not used: it sees what is left of the run as one epoch, so there
is no loop to restore, and what is saved is only what was trained. A checkpoint of a step is made
when everything about that step is done and written, its validation too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from musicllm import console
from musicllm.data.batches import MicroBatch
from musicllm.model.adapters import trainable_state
from musicllm.train import checkpoints
from musicllm.train.callbacks import StepClock
from musicllm.train.checkpoints import Checkpoint
from musicllm.train.interruption import Interruption
from musicllm.train.module import CausalLMModule


class Checkpoints(Callback):  # type: ignore[misc]
    """Restores, saves every so many steps, and stops after a save when a signal asked for it."""

    def __init__(
        self,
        folder: Path,
        identity: str,
        restored: Checkpoint | None,
        clock: StepClock,
        *,
        every: int,
        keep_last: int,
    ) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            identity: of the job.
            restored: where the run continues; its weights are in the model already.
            clock: paused while saving.
            every: steps between checkpoints; the last step always has one.
            keep_last: how many stay on disk.
        """
        self.interruption = Interruption()
        self._folder = folder
        self._identity = identity
        self._restored = restored
        self._clock = clock
        self._every = every
        self._keep_last = keep_last

    def on_train_start(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Put optimizer, schedule and loss scaler back, and begin to listen to signals."""
        if self._restored is not None:
            state = self._restored.state()
            trainer.optimizers[0].load_state_dict(state["optimizer"])
            trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["schedule"])
            trainer.precision_plugin.load_state_dict(state["precision"])
        # validation falls on the same steps as in a run that never stopped
        done = module.start_step * module.accumulation
        trainer.fit_loop.epoch_loop.batch_progress.total.ready = done
        self.interruption.listen()

    def on_train_batch_start(
        self, trainer: Trainer, module: CausalLMModule, _batch: MicroBatch, batch_idx: int
    ) -> None:
        """Save the step before this one if its turn has come or a signal came."""
        step = module.finished_steps(batch_idx)
        if step is None or step == module.start_step:
            return
        stop = self._stop_was_asked(trainer)
        if stop or step % self._every == 0:
            self._save(trainer, module, step)
        if stop:
            self._stop(trainer, module, step)

    def on_train_end(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Save the last step."""
        self._save(trainer, module, module.schedule.num_steps)
        if self._stop_was_asked(trainer):
            self._stop(trainer, module, module.schedule.num_steps)

    def _save(self, trainer: Trainer, module: CausalLMModule, step: int) -> None:
        with self._clock.paused():
            if trainer.is_global_zero:
                state: dict[str, Any] = {
                    "optimizer": trainer.optimizers[0].state_dict(),
                    "schedule": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
                    "precision": trainer.precision_plugin.state_dict(),
                }
                weights = trainable_state(module.model)
                checkpoints.save(self._folder, step, self._identity, weights, state)
                checkpoints.keep_last(self._folder, self._keep_last)
            trainer.strategy.barrier()

    def _stop_was_asked(self, trainer: Trainer) -> bool:
        asked = self.interruption.signal is not None
        if trainer.world_size == 1:
            return asked
        return bool(trainer.strategy.reduce_boolean_decision(asked, all=False))

    def _stop(self, trainer: Trainer, module: CausalLMModule, step: int) -> None:
        if trainer.is_global_zero:
            console.note(
                f"stopped after step {step} of {module.schedule.num_steps}, which is saved in "
                f"{checkpoints.folder_of(self._folder, step)}; the same command continues there"
            )
        raise SystemExit(128 + (self.interruption.signal or 0))
