"""Settings and results of a training run: plain frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from musicllm.schema import (
    CallbacksConfig,
    LoggerConfig,
    OptimizerConfig,
    StrategyConfig,
    TrainingConfig,
)
from musicllm.train.schedule import Schedule
from musicllm.train.speed import Totals


@dataclass(frozen=True)
class FitSettings:
    """What happens during a run; steps are optimizer steps, counted over the whole run.

    Attributes:
        seed: of the order of rows and of dropout.
        optimizer: its settings.
        schedule: of the learning rate.
        training: steps between log lines, validations and checkpoints, all of which also happen
            after the last step, and the gradient clipping.
        callbacks: what is watched, and the policy for bad losses.
        loggers: where metrics go beside metrics.jsonl.
        flops_per_token: of training, for `perf/mfu`; None leaves it out.
        peak_flops_per_s: of one device, for `perf/mfu`; None leaves it out.
        source_names: by the indices in the rows; () when sources are not distinguished.
        logged_settings: settings that loggers display; no secrets.
    """

    seed: int
    optimizer: OptimizerConfig
    schedule: Schedule
    training: TrainingConfig
    callbacks: CallbacksConfig
    loggers: tuple[LoggerConfig, ...]
    flops_per_token: float | None
    peak_flops_per_s: float | None
    source_names: tuple[str, ...]
    logged_settings: Mapping[str, Any]


@dataclass(frozen=True)
class Machine:
    """Where a run happens.

    Attributes:
        accelerator: cpu or gpu.
        num_nodes: machines.
        devices_per_node: devices of each.
        precision: Lightning's name; see `strategies.precision`.
        strategy: how training is distributed over the devices.
        has_bf16: the device supports bfloat16 natively.
        num_threads: of torch on the CPU; None leaves torch's choice.
        num_data_workers: processes that read batches ahead.
    """

    accelerator: str
    num_nodes: int
    devices_per_node: int
    precision: str
    strategy: StrategyConfig
    has_bf16: bool
    num_threads: int | None
    num_data_workers: int


@dataclass(frozen=True)
class FitResult:
    """The result of a run.

    Attributes:
        num_steps: optimizer steps of the whole run.
        start_step: steps of earlier processes.
        train_loss: of the last step, in nats a supervised token.
        validation_loss: after the last step; None without validation rows.
        work: steps, tokens and seconds of this process.
    """

    num_steps: int
    start_step: int
    train_loss: float | None
    validation_loss: float | None
    work: Totals
