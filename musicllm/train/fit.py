"""Trains: puts module, batches, checkpoints and callbacks together under Lightning's Trainer.

The same call continues a run that was interrupted, bit by bit as if it had not been. On a CPU
every operation used here is deterministic; on a GPU some attention and embedding gradients are
not, and making them so is not free, so it is not asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
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
from musicllm.train import (
    checkpoints,
    group,
    metrics,
    state,
    strategies,
    trainer,
)
from musicllm.train.callbacks import Metrics, Progress
from musicllm.train.checkpoints import Checkpoint
from musicllm.train.evaluation import Evaluation, Evaluations
from musicllm.train.incidents import Incidents, RollBack
from musicllm.train.interruption import REQUEUE_EXIT_CODE
from musicllm.train.loading import TimedLoader, validation_batches
from musicllm.train.module import CausalLMModule, check_head
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.plan import Plan
from musicllm.train.records import left_out_steps
from musicllm.train.resuming import Checkpoints
from musicllm.train.samples import Samples, SampleWriter
from musicllm.train.scaling import SkippedSteps
from musicllm.train.settings import FitResult, FitSettings, Machine
from musicllm.train.speed import StepClock, Totals


@dataclass(frozen=True)
class TrainingRun:
    """A model, its rows, and everything that is to happen.

    Attributes:
        model: a transformers or PEFT model; parameters that require gradients are trained, in
            place.
        train_rows: the training split.
        validation_rows: the validation split; may be empty.
        plan: batches and steps.
        settings: what happens during the run.
        machine: where it happens.
        folder: the run folder, for `metrics.jsonl` and `checkpoints/`.
        identity: of the job; checkpoints of another one are not continued.
        earlier: identities of the same job when it was to be shorter, whose checkpoints are.
        write_samples: lets the model write tunes; see `SampleWriter`.
        evaluation: benchmarks during the run; None for none.
        callbacks: the user's own, beside ours.
    """

    model: nn.Module
    train_rows: RowStore
    validation_rows: RowStore
    plan: Plan
    settings: FitSettings
    machine: Machine
    folder: Path
    identity: str
    earlier: tuple[str, ...] = ()
    write_samples: SampleWriter | None = None
    evaluation: Evaluation | None = None
    callbacks: tuple[Callback, ...] = ()

    def fit(self) -> FitResult:
        """Train to the end, from the newest checkpoint of this job if there is one.

        Raises:
            StageError: a loss was bad, and the policy is to stop, or fp16 made no update any more.
            RollBack: a loss was bad, and the policy is to go back: call again, with a new model.
            NotAvailableError: the model's head does more than training follows, or a logger's
                package is missing.
            SystemExit: after a checkpoint, when a signal came; see `interruption` for the code.
        """
        if self.machine.num_threads is not None:
            torch.set_num_threads(self.machine.num_threads)
        check_head(self.model)
        found = group.from_main(
            lambda: checkpoints.newest(self.folder, self.identity, *self.earlier)
        )
        start_step = 0
        if found is not None:
            start_step = found.step
            load_trained(self.model, found.weights())
        work = Totals()
        if start_step < self.plan.num_steps:
            with trainer.quiet():
                work = self._train(found, start_step)
        return FitResult(
            num_steps=self.plan.num_steps,
            start_step=start_step,
            train_loss=metrics.last(self.folder / metrics.NAME, "train/loss"),
            validation_loss=metrics.last(self.folder / metrics.NAME, "val/loss"),
            work=work,
        )

    def _train(self, found: Checkpoint | None, start_step: int) -> Totals:
        if ranks.is_main():
            metrics.truncate(self.folder / metrics.NAME, start_step)
        bad = group.from_main(lambda: left_out_steps(self.folder))  # finished steps count from 1
        left_out = frozenset(step - 1 for step in bad)
        batches = self._batches(start_step, left_out)
        if len(batches) == 0:  # all that is left was rolled back
            return Totals()
        lightning = trainer.make(
            self.plan,
            self.settings,
            self.machine,
            self.folder,
            run_id=self.identity,
            start_step=start_step,
        )
        if found is not None:
            console.say(f"continuing after step {start_step} of {self.plan.num_steps}")
        loader = TimedLoader(batches, self.machine.num_data_workers)
        clock = StepClock()
        skipped = SkippedSteps(most_in_a_row=self.settings.max_skipped_steps)
        watch = self._metrics(loader, clock, skipped)
        incidents = self._incidents(batches)
        saving = self._saving(found, clock, incidents)
        asking = self._evaluations(clock, incidents)
        others = [*self._samples(clock), *asking, *self.callbacks, saving]
        with self._progress(start_step) as progress:
            lightning.callbacks = [skipped, watch, incidents, *progress, *others]
            self._follow(lightning, self._module(start_step, left_out), loader, saving)
            state.settle(lightning, self.model)
        return watch.totals

    def _follow(
        self, lightning: Trainer, module: CausalLMModule, loader: TimedLoader, saving: Checkpoints
    ) -> None:
        """Let Lightning train, and end as signals ask for."""
        try:
            lightning.fit(module, loader, self._validation_loader())
        except SIGTERMException:  # between Lightning's start and ours, with exit code 0
            console.note("stopped before the first step; the same command continues")
            raise SystemExit(REQUEUE_EXIT_CODE) from None
        except RollBack:
            if saving.stop_was_asked():
                console.note("stopped before going back; the same command goes on from there")
                raise SystemExit(saving.interruption.exit_code) from None
            raise
        finally:
            saving.interruption.ignore()

    def _module(self, start_step: int, left_out: Collection[int]) -> CausalLMModule:
        optimizer, machine = self.settings.optimizer, self.machine
        if machine.precision == "16-mixed" and machine.strategy.zero is None:
            # a fused kernel would undo the loss scale itself, after the clipping
            optimizer = replace(optimizer, fused=False)
        return CausalLMModule(
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
            num_rows=self.settings.num_validation_rows,
            rows_per_device=self.plan.rows_per_device,
            rank=ranks.rank(),
            world_size=self.plan.num_devices,
        )
        return TimedLoader(batches, self.machine.num_data_workers)

    @contextmanager
    def _progress(self, start_step: int) -> Iterator[list[Callback]]:
        if not (self.settings.progress_bar and ranks.is_main()):
            yield []
            return
        with console.progress("training", self.plan.num_steps - start_step) as advance:
            yield [Progress(advance)]

    def _metrics(self, loader: TimedLoader, clock: StepClock, skipped: SkippedSteps) -> Metrics:
        return Metrics(
            self.folder,
            loader,
            clock,
            skipped,
            every=self.settings.log_every_steps,
            throughput=self.settings.throughput,
            flops_per_token=self.settings.flops_per_token,
            peak_flops_per_s=self.settings.peak_flops_per_s,
        )

    def _saving(
        self, found: Checkpoint | None, clock: StepClock, incidents: Incidents
    ) -> Checkpoints:
        return Checkpoints(
            self.folder,
            (self.identity, *self.earlier),
            found,
            clock,
            every=self.settings.checkpoint_every_steps,
            keep_last=self.settings.keep_last_checkpoints,
            keep_best=self.settings.keep_best_checkpoints,
            before_save=incidents.settle,
        )

    def _incidents(self, batches: StepBatches) -> Incidents:
        return Incidents(
            self.folder,
            batches,
            self.settings.incidents,
            source_names=self.settings.source_names,
            log_every_steps=self.settings.log_every_steps,
            checkpoint_every_steps=self.settings.checkpoint_every_steps,
        )

    def _samples(self, clock: StepClock) -> list[Callback]:
        every = self.settings.samples_every_steps
        if every is None or self.write_samples is None:
            return []
        return [Samples(self.folder, self.write_samples, clock, every=every)]

    def _evaluations(self, clock: StepClock, incidents: Incidents) -> list[Callback]:
        if self.evaluation is None:
            return []
        return [Evaluations(self.folder, self.evaluation, clock, before=incidents.settle)]
