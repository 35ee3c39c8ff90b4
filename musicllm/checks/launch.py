"""Rules on how a run or a sweep is started."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.runs.stages import STAGES
from musicllm.schema import Config


def sweeps(config: Config) -> Iterator[Problem]:
    """Yield a search without an end or without a chance to learn, and a grid that is no search."""
    num_trials = config.sweep.num_trials
    if config.sweep.name == "grid":
        if num_trials is not None:
            rule = "has no effect on sweep=grid, which runs every combination"
            yield Problem("sweep.num_trials", num_trials, rule, "use sweep=optuna")
        return
    if num_trials is None:
        rule = "leaves the search without an end"
        yield Problem("sweep.num_trials", "null", rule, "use sweep.num_trials=20")
    if config.launcher.num_parallel is None:
        rule = "starts all jobs of a search at once, so that none learns from another"
        yield Problem("launcher.num_parallel", "null", rule, "use launcher.num_parallel=4")


def launchers(config: Config) -> Iterator[Problem]:
    """Yield what Slurm needs and does not have."""
    launcher = config.launcher
    if launcher.name != "slurm":
        return
    if STAGES[config.task].interactive:
        rule = f"runs a job without a terminal, and a {config.task} needs one"
        yield Problem("launcher", "slurm", rule, "use launcher=local")
    for key in ("cluster", "time_minutes", "signal_delay_s", "num_requeues"):
        if getattr(launcher, key) is None:
            rule = "must be set when launcher.name=slurm"
            yield Problem(f"launcher.{key}", "null", rule, "write launcher=slurm")
    nodes = config.hardware.num_nodes
    if config.task == "pipeline" and nodes > 1:
        rule = f"runs a pipeline as one job on one machine, but {config.hardware.name} has {nodes}"
        yield Problem("launcher", "slurm", rule, "submit its steps one by one")
