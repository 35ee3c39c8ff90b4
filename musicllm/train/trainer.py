"""Lightning's Trainer, with the options of our runs and without its messages."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer

from musicllm.train import strategies
from musicllm.train.plan import Plan
from musicllm.train.settings import FitSettings, Machine


def make(
    plan: Plan,
    settings: FitSettings,
    machine: Machine,
    folder: Path,
    *,
    loggers: Sequence[Any],
    callbacks: Sequence[Callback],
) -> Trainer:
    """Return a Trainer for the remaining steps of a run.

    Args:
        plan: batches and steps.
        settings: what happens during the run.
        machine: where it happens.
        folder: the run folder.
        loggers: Lightning's.
        callbacks: Lightning's.
    """
    return Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices_per_node,
        num_nodes=machine.num_nodes,
        **strategies.trainer_options(
            machine.strategy,
            accelerator=machine.accelerator,
            precision=machine.precision,
            rows_per_device=plan.rows_per_device,
            clip=settings.training.gradient_clip,
            folder=folder,
        ),
        max_epochs=1,  # the remaining steps, however often they pass over the rows
        accumulate_grad_batches=plan.accumulation,
        gradient_clip_val=settings.training.gradient_clip or None,
        val_check_interval=settings.training.validate_every_steps * plan.accumulation,
        check_val_every_n_epoch=None,
        logger=list(loggers) or False,
        callbacks=list(callbacks),
        log_every_n_steps=1,  # our metrics decide; Lightning warns about larger values
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress Lightning's messages, its deprecation warnings, and warnings about what is meant."""
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
