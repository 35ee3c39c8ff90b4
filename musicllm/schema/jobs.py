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
        "grid (all combinations) or optuna (a search; extra `optuna`)"
    )
    metric: str = key(
        "jobs are compared by this metric of metrics.jsonl or the artifact, such as val/loss"
    )
    direction: Literal["minimize", "maximize"] = key("minimize or maximize the metric")
    num_trials: int | None = key("jobs of a search in total", 1, 1_000_000, null="a grid has none")


@group
class LauncherConfig:
    """Where a run, or the jobs of a sweep, are started."""

    name: Literal["local", "slurm"] = key("local (processes) or slurm (extra `slurm`)")
    num_parallel: int | None = key("jobs of a sweep at a time", 1, 10_000, null="all")
    cluster: Literal["slurm", "local"] | None = key(
        "slurm, or local (a trial run)", null="no Slurm"
    )
    partition: str | None = key("Slurm partition", null="default of the cluster")
    account: str | None = key("Slurm account", null="default of the user")
    time_minutes: int | None = key("limit of one run", 1, 1_000_000, "minutes", null="no Slurm")
    num_cpus_per_device: int | None = key("CPU cores for each device", 1, 1024, null="no Slurm")
    memory_gb: int | None = key("memory of a machine", 1, 100_000, "GB", null="Slurm's default")
    signal_delay_s: int | None = key(
        "time left when training receives the signal to save", 1, 3600, "seconds", null="no Slurm"
    )
    num_requeues: int | None = key("requeues after the time limit", 0, 10_000, null="no Slurm")
    srun_arguments: list[str] = key("further arguments of srun")
    options: dict[str, str] = key("further options of sbatch, such as qos and constraint")
