"""A training run: module, batches, checkpoints and callbacks in Lightning's Trainer.

The same call continues an interrupted run, with the same bits as an uninterrupted one. On a CPU all
operations are deterministic; on a GPU some gradients of attention and embeddings are not, since
deterministic ones are slower.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import nn

from musicllm import console
from musicllm.data.batches import StepBatches
from musicllm.data.rows import RowStore
from musicllm.launch import ranks
from musicllm.model.adapters import load_trained
from musicllm.train import checkpoints, group, loggers, metrics, pilot, state, strategies, trainer
from musicllm.train.callbacks import FitContext, Observer, observers
from musicllm.train.callbacks.incidents import RollBack
from musicllm.train.checkpoints import Checkpoint
from musicllm.train.driver import LastCall, StepDriver
from musicllm.train.evaluation import Evaluation
from musicllm.train.hours import Pace
from musicllm.train.interruption import REQUEUE_EXIT_CODE, Interruption
from musicllm.train.loading import TimedLoader, validation_batches
from musicllm.train.loggers import LoggedRun
from musicllm.train.module import CausalLMModule, check_head
from musicllm.train.objectives import Objective
from musicllm.train.objectives.sft import SFT
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import Plan
from musicllm.train.records import left_out_steps
from musicllm.train.settings import FitResult, FitSettings, Machine
from musicllm.train.speed import Totals
from musicllm.train.tunes import SampleWriter


@dataclass(frozen=True)
class TrainingRun:
    """A model, its rows, and the settings of the run.

    Attributes:
        model: a transformers or PEFT model; parameters that require gradients are trained, in
            place.
        train_rows: the training split.
        validation_rows: the validation split; may be empty.
        plan: batches and steps.
        settings: what happens during the run.
        machine: where it happens.
        folder: the run folder, for `metrics.jsonl` and `checkpoints/`.
        identity: of the job, from whose checkpoints the run continues.
        objective: what is minimised, bound to its teacher if it has one.
        earlier: identities of earlier, shorter versions of the job, with the same effect.
        write_samples: samples tunes; see `SampleWriter`.
        evaluation: benchmarks during the run, or None.
        callbacks: the user's Lightning callbacks.
    """

    model: nn.Module
    train_rows: RowStore
    validation_rows: RowStore
    plan: Plan
    settings: FitSettings
    machine: Machine
    folder: Path
    identity: str
    objective: Objective = SFT
    earlier: tuple[str, ...] = ()
    write_samples: SampleWriter | None = None
    evaluation: Evaluation | None = None
    callbacks: tuple[Callback, ...] = ()

    def fit(self) -> FitResult:
        """Train to the end, from the newest checkpoint of this job if there is one.

        Raises:
            StageError: a loss was bad, and the policy is `stop`, or fp16 skips every update.
            RollBack: a loss was bad, and the policy is `roll_back`: call again, with a new model.
            NotAvailableError: the model's head is not supported, or a logger's package is missing.
            SystemExit: after a checkpoint, if a signal was received; see `interruption`.
        """
        self._check()
        restored = group.from_main(
            lambda: checkpoints.newest(self.folder, self.identity, *self.earlier)
        )
        start_step = 0
        if restored is not None:
            start_step = restored.step
            load_trained(self.model, restored.weights())
        work = Totals()
        if start_step < self.plan.num_steps:
            with trainer.quiet():
                work = self._train(restored, start_step)
        return FitResult(
            num_steps=self.plan.num_steps,
            start_step=start_step,
            train_loss=metrics.last(self.folder / metrics.NAME, "train/loss"),
            validation_loss=metrics.last(self.folder / metrics.NAME, "val/loss"),
            work=work,
        )

    def measure(self, limit_s: float, began: float, tokens_per_step: float) -> Pace:
        """Return the pace of the run; the model and the folder are of no use afterwards.

        Args:
            limit_s: seconds of measured steps.
            began: `time.perf_counter()` at the start of the stage.
            tokens_per_step: mean of the run.

        Raises:
            SystemExit: a signal was received.
        """
        self._check()
        timer = pilot.Pilot(limit_s, began)
        evaluation = self.evaluation
        run = replace(
            self,
            plan=replace(self.plan, num_steps=pilot.MOST_STEPS),
            settings=pilot.settings_of(self.settings),
            evaluation=evaluation and replace(evaluation, every_steps=pilot.MOST_STEPS),
            callbacks=(),
        )
        with trainer.quiet():
            run._train(None, 0, timer.observers)
        return timer.pace(tokens_per_step)

    def _check(self) -> None:
        """Prepare this process; see `fit` for what is raised."""
        if self.machine.num_threads is not None:
            torch.set_num_threads(self.machine.num_threads)
        check_head(self.model)

    def _train(
        self,
        restored: Checkpoint | None,
        start_step: int,
        make_observers: Callable[[FitContext], list[Observer]] | None = None,
    ) -> Totals:
        if ranks.is_main():
            metrics.truncate(self.folder / metrics.NAME, start_step)
        bad = group.from_main(lambda: left_out_steps(self.folder))  # finished steps count from 1
        left_out = frozenset(step - 1 for step in bad)
        batches = self._batches(start_step, left_out)
        if len(batches) == 0:  # all remaining steps were rolled back
            return Totals()
        run = LoggedRun(self.folder, start_step, self.identity, self.settings.logged_settings)
        with ExitStack() as exits:
            context = FitContext(
                folder=self.folder,
                identities=(self.identity, *self.earlier),
                plan=self.plan,
                settings=self.settings,
                batches=batches,
                loader=TimedLoader(batches, self.machine.num_data_workers),
                loggers=loggers.build(self.settings.loggers, run),
                restored=restored,
                write_samples=self.write_samples,
                evaluation=self.evaluation,
                interruption=Interruption(),
                exits=exits,
            )
            lightning = trainer.make(
                self.plan,
                self.settings,
                self.machine,
                self.folder,
                loggers=[pair.logger for pair in context.loggers],
                callbacks=[StepDriver(context), *self.callbacks, LastCall(context)],
            )
            if restored is not None:
                console.say(f"continuing after step {start_step} of {self.plan.num_steps}")
            context.observers = (make_observers or observers)(context)
            self._fit(lightning, self._module(start_step, left_out), context)
            state.settle(lightning, self.model)
        return context.totals

    def _fit(self, lightning: Trainer, module: CausalLMModule, context: FitContext) -> None:
        """Train with Lightning, and convert signals into exit codes."""
        try:
            lightning.fit(module, context.loader, self._validation_loader())
        except SIGTERMException:  # between Lightning's start and ours, with exit code 0
            console.note("stopped before the first step; the same command continues")
            raise SystemExit(REQUEUE_EXIT_CODE) from None
        except RollBack:
            if context.stop_requested():
                console.note("stopped before going back; the same command goes on from there")
                raise SystemExit(context.interruption.exit_code) from None
            raise
        finally:
            context.interruption.ignore()

    def _module(self, start_step: int, left_out: Collection[int]) -> CausalLMModule:
        optimizer, machine = self.settings.optimizer, self.machine
        if machine.precision == "16-mixed" and machine.strategy.zero_stage is None:
            # a fused kernel would undo the loss scale itself, after the clipping
            optimizer = replace(optimizer, fused=False)
        module = CausalLMModule(
            self.model.train(),
            partial(
                OPTIMIZERS[optimizer.name].build, settings=optimizer, has_bf16=machine.has_bf16
            ),
            self.settings.schedule,
            accumulation=self.plan.accumulation,
            start_step=start_step,
            left_out=left_out,
            seed=self.settings.seed,
            autocast=strategies.module_autocast(machine.strategy, machine.precision),
            source_names=self.settings.source_names,
        )
        module.objective = self.objective
        return module

    def _batches(self, start_step: int, left_out: Collection[int]) -> StepBatches:
        return StepBatches(
            self.train_rows,
            rows_per_step=self.plan.rows_per_step,
            rows_per_device=self.plan.rows_per_device,
            seed=self.settings.seed,
            num_steps=self.plan.num_steps,
            start_step=start_step,
            left_out=left_out,
            rank=ranks.rank(),
            world_size=self.plan.num_devices,
        )

    def _validation_loader(self) -> TimedLoader | None:
        if len(self.validation_rows) == 0:
            return None
        batches = validation_batches(
            self.validation_rows,
            num_rows=self.settings.training.num_validation_rows,
            rows_per_device=self.plan.rows_per_device,
            rank=ranks.rank(),
            world_size=self.plan.num_devices,
        )
        return TimedLoader(batches, self.machine.num_data_workers)
