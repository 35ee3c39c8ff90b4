"""Where runs lie, and how many of them are started where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PathsConfig:
    """Where things are written."""

    runs: str  # folder that holds runs/<recipe>/<fingerprint-or-name>/
    cache: str  # folder for what can be made again: converted models, downloads


@dataclass(frozen=True)
class SweepConfig:
    """Which jobs `-m` makes of the swept settings, and how they are compared."""

    name: str  # grid (every combination) or optuna (a search; extra `optuna`)
    metric: str  # of metrics.jsonl or of the artifact, such as val/loss
    direction: str  # minimize or maximize the metric
    num_trials: int | None  # jobs of a search in all


@dataclass(frozen=True)
class LauncherConfig:
    """Where a run, or the jobs of a sweep, are started."""

    name: str  # local (processes of this machine) or slurm (extra `slurm`)
    num_parallel: int | None  # jobs of a sweep at a time; null: all
    cluster: str | None  # slurm, or local to try the same way on this machine
    partition: str | None  # of Slurm; null: its default
    account: str | None  # of Slurm; null: the user's default
    time_minutes: int | None  # limit of one run of a job
    num_cpus_per_device: int | None  # processor cores
    memory_gb: int | None  # of one machine; null: Slurm's default
    signal_delay_s: int | None  # seconds before the limit that a training is told to save
    num_requeues: int | None  # how often a job that reached its limit is queued again
    srun_arguments: list[str]  # further ones
    options: dict[str, str]  # further ones of sbatch, such as qos and constraint
