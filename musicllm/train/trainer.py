"""Lightning's Trainer with what our runs need of it, and without what it tells everybody."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch import Trainer

from musicllm.train import loggers, strategies
from musicllm.train.plan import Plan
from musicllm.train.settings import FitSettings, Machine


def make(
    plan: Plan,
    settings: FitSettings,
    machine: Machine,
    folder: Path,
    *,
    run_id: str,
    start_step: int,
) -> Trainer:
    """Return a Trainer for what is left of a run.

    Args:
        plan: batches and steps.
        settings: what happens during the run.
        machine: where it happens.
        folder: the run folder.
        run_id: of the job, by which loggers know a run that continues.
        start_step: finished optimizer steps.
    """
    made = loggers.build(
        settings.loggers, folder, start_step=start_step, run_id=run_id, settings=settings.shown
    )
    return Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices_per_node,
        num_nodes=machine.num_nodes,
        **strategies.trainer_options(
            machine.strategy,
            accelerator=machine.accelerator,
            precision=machine.precision,
            rows_per_device=plan.rows_per_device,
            clip=settings.gradient_clip,
            folder=folder,
        ),
        max_epochs=1,  # what is left of the run, however often it passes over the rows
        accumulate_grad_batches=plan.accumulation,
        gradient_clip_val=settings.gradient_clip or None,
        val_check_interval=settings.validate_every_steps * plan.accumulation,
        check_val_every_n_epoch=None,
        logger=made or False,
        log_every_n_steps=1,  # `Metrics` decides, and Lightning warns about larger numbers
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what Lightning tells everybody, its use of what torch renamed, and what is meant so."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
            warnings.filterwarnings("ignore", ".*have no `val_dataloader`.*")
            warnings.filterwarnings("ignore", ".*broadcast_buffers.*")
            warnings.filterwarnings("ignore", ".*DeepSpeed handles gradient clipping.*")
            warnings.filterwarnings(
                "ignore", r".*torch\.distributed\.\w+` is deprecated.*", FutureWarning
            )
            yield
    finally:
        logger.setLevel(level)
