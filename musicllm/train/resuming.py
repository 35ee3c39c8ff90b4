"""Saves checkpoints during a run and puts their state back at its start.

Lightning's own checkpoints are not used: it sees what is left of the run as one epoch, so there
is no loop to restore, and what is saved is only what was trained. A checkpoint of a step is made
when everything about that step is done and written, its validation too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from musicllm import console
from musicllm.data.batches import MicroBatch
from musicllm.launch import ranks
from musicllm.train import checkpoints, group, loggers
from musicllm.train.checkpoints import Checkpoint, Writer
from musicllm.train.interruption import Interruption
from musicllm.train.module import CausalLMModule
from musicllm.train.speed import StepClock
from musicllm.train.state import gather_optimizer, gather_weights, restore_optimizer


class Checkpoints(Callback):  # type: ignore[misc]
    """Restores, saves every so many steps, and stops after a save when a signal asked for it."""

    def __init__(
        self,
        folder: Path,
        identities: tuple[str, ...],
        restored: Checkpoint | None,
        clock: StepClock,
        *,
        every: int,
        keep_last: int,
        keep_best: int,
        before_save: Callable[[Trainer, CausalLMModule], None],
    ) -> None:
        """Watch a run.

        Args:
            folder: the run folder.
            identities: of the job, and of the same when it was to be shorter.
            restored: where the run continues; its weights are in the model already.
            clock: paused while saving.
            every: steps between checkpoints; the last step always has one.
            keep_last: how many stay on disk.
            keep_best: how many with the lowest validation losses stay, too.
            before_save: raises when the last step must not be saved.
        """
        self.interruption = Interruption()
        self._folder = folder
        self._restored = restored
        self._clock = clock
        self._every = every
        self._before_save = before_save
        self._score: float | None = None
        self._writer = (
            Writer(folder, *identities, keep_last=keep_last, keep_best=keep_best)
            if ranks.is_main()
            else None
        )

    def on_train_start(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Put optimizer, schedule and loss scaler back, and begin to listen to signals."""
        if self._restored is not None:
            state = self._restored.state()
            restore_optimizer(trainer, module.model, state["optimizer"])
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
        stop = self.stop_was_asked()
        if stop or step % self._every == 0:
            self._save(trainer, module, step)
        self._score = None
        if stop:
            self._stop(trainer, module, step)

    def on_validation_end(self, _trainer: Trainer, module: CausalLMModule) -> None:
        """Remember how good the step is that may be saved next."""
        self._score = module.validation_loss

    def on_train_end(self, trainer: Trainer, module: CausalLMModule) -> None:
        """Save the last step."""
        self._save(trainer, module, module.schedule.num_steps)
        self._wait()
        if self.stop_was_asked():
            self._stop(trainer, module, module.schedule.num_steps)

    def _save(self, trainer: Trainer, module: CausalLMModule, step: int) -> None:
        self._before_save(trainer, module)
        with self._clock.paused():
            weights = gather_weights(trainer, module.model)
            state: dict[str, Any] = {
                "optimizer": gather_optimizer(trainer, module.model),
                "precision": trainer.precision_plugin.state_dict(),
            }
            if self._writer is not None:
                self._writer.save(step, weights, state, self._score)
            group.barrier()

    def on_exception(
        self, _trainer: Trainer, _module: CausalLMModule, _exception: BaseException
    ) -> None:
        """Let the last save end before the process does."""
        self._wait()

    def _wait(self) -> None:
        if self._writer is not None:
            self._writer.wait()

    def stop_was_asked(self) -> bool:
        """Tell whether a signal came, to this process or another; all must ask."""
        return group.any_of(self.interruption.signal is not None)

    def _stop(self, trainer: Trainer, module: CausalLMModule, step: int) -> None:
        self._wait()
        loggers.close()
        group.barrier()  # a launcher kills who is left soon after the first process has ended
        if trainer.is_global_zero:
            console.note(
                f"stopped after step {step} of {module.schedule.num_steps}, which is saved in "
                f"{checkpoints.folder_of(self._folder, step)}; the same command continues there"
            )
        raise SystemExit(self.interruption.exit_code)
