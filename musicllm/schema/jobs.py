"""Where runs lie, and how many of them are started where."""

from __future__ import annotations

from typing import Literal

from musicllm.schema.keys import group, key


@group
class PathsConfig:
    """Where things are written."""

    runs: str = key("folder that holds <recipe>/<fingerprint-or-name>/ of every run")
    cache: str = key("folder for what can be created again: converted models, downloads")


@group
class SweepConfig:
    """Which jobs `-m` makes of the swept settings, and how they are compared."""

    name: Literal["grid", "optuna"] = key(
        "grid (every combination) or optuna (a search; extra `optuna`)"
    )
    metric: str = key("metric of metrics.jsonl or of the artifact that jobs are compared by")
    direction: Literal["minimize", "maximize"] = key("minimize or maximize the metric")
    num_trials: int | None = key(
        "jobs of a search in total; with more, the same command continues the search",
        1,
        1_000_000,
        null="a grid, which runs every combination",
    )


@group
class LauncherConfig:
    """Where a run, or the jobs of a sweep, are started."""

    name: Literal["local", "slurm"] = key(
        "local (processes of this machine) or slurm (extra `slurm`)"
    )
    num_parallel: int | None = key("jobs of a sweep at a time", 1, 10_000, null="all")
    cluster: Literal["slurm", "local"] | None = key(
        "slurm, or local to try the same on this machine", null="launcher=local"
    )
    partition: str | None = key("Slurm partition", null="default of the cluster")
    account: str | None = key("Slurm account", null="default of the user")
    time_minutes: int | None = key(
        "time limit of one run of a job", 1, 1_000_000, "minutes", null="launcher=local"
    )
    num_cpus_per_device: int | None = key(
        "CPU cores for each device", 1, 1024, null="launcher=local"
    )
    memory_gb: int | None = key(
        "memory of one machine", 1, 100_000, "GB", null="default of the cluster"
    )
    signal_delay_s: int | None = key(
        "time before the limit at which training receives the signal to save",
        1,
        3600,
        "seconds",
        null="launcher=local",
    )
    num_requeues: int | None = key(
        "how often a job that reached its limit is queued again", 0, 10_000, null="launcher=local"
    )
    srun_arguments: list[str] = key("further arguments of srun")
    options: dict[str, str] = key("further options of sbatch, such as qos and constraint")
