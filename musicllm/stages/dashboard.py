"""Dashboard: panels of trainings as a saved view in wandb, and the report of a pipeline.

The definition is in the configuration; a panel without values is left out. Without a network or a
key everything is written as JSON, and the same command sends it later.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from musicllm import artifacts, console
from musicllm.errors import ArtifactError
from musicllm.job import Job, public
from musicllm.report.dashboard import watched
from musicllm.report.dashboard.filling import FilledDashboard, fill
from musicllm.report.dashboard.sending import send
from musicllm.report.dashboard.story import Block, is_training, story
from musicllm.report.dashboard.tune_table import tune_table
from musicllm.report.dashboard.wandb_views import blocks, sections
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.runs.watching import watched_runs
from musicllm.schema import LoggerConfig
from musicllm.train import loggers, wandb_mode
from musicllm.train.loggers import LoggedRun
from musicllm.train.tunes import SampleTune


def run(job: Job) -> list[tuple[str, object]]:
    """Write the panels that `runs` and the trainings of `inputs` fill, and save them in wandb.

    Raises:
        ArtifactError: no run was logged to wandb, or nothing has a value.
        NotAvailableError: wandb's server refuses it.
    """
    settings = next(each for each in job.config.logger.values() if each.kind == "wandb")
    runs = _in_wandb(_runs(job))
    filled = fill(job.config.dashboard, runs)
    if not filled.sections:
        reasons = "; ".join(f"{panel} ({why})" for panel, why in filled.left_out.items())
        raise ArtifactError(
            f"no panel of dashboard.sections has a value of "
            f"{', '.join(run.label for run in runs)}: {reasons}"
        )
    tunes = [tune for artifact in job.inputs.values() if artifact.kind == "tunes"
             for tune in tune_table(artifact)]  # fmt: skip
    own_id = job.fingerprint if tunes else None
    chain = story(job.inputs, job.config.dashboard, own_id=own_id) if job.inputs else []
    sections(filled), blocks(chain)  # what wandb's library refuses is no artifact
    with job.writing() as (folder, _):
        artifacts.write_json(folder / "definition.json", _plain(filled, chain, runs))
    rows: list[tuple[str, object]] = [
        (
            "panels",
            f"{sum(len(s.panels) for s in filled.sections)}, {len(filled.left_out)} left out",
        ),
        ("definition", job.artifact_path / "definition.json"),
    ]
    _say_left_out(filled)
    _say_waiting(runs)
    return rows + _send(job, settings, filled, chain, tunes)


def _runs(job: Job) -> list[WatchedRun]:
    """Return the runs of `runs`, then the trainings of `inputs`, each once."""
    runs = {run.folder: run for run in watched_runs(job.config)}
    for artifact in job.inputs.values():
        folder = artifact.path.parent.resolve()
        if is_training(artifact) and folder not in runs:
            runs[folder] = watched.read(folder, str(artifact.provenance["recipe"]))
    return list(runs.values())


def _in_wandb(runs: Sequence[WatchedRun]) -> list[WatchedRun]:
    """Return the runs that were logged to wandb, and name the others."""
    logged = [run for run in runs if run.wandb_id is not None]
    others = ", ".join(run.label for run in runs if run.wandb_id is None)
    if not logged:
        raise ArtifactError(
            f"nothing was logged to wandb ({others or 'no training among the inputs'}), so every "
            f"panel would be empty; train with logger=[wandb], or show runs without wandb: "
            f"recipe=report runs=[...]"
        )
    if others:
        console.note(f"left out, since they were not logged to wandb: {others}")
    return logged


def _say_left_out(filled: FilledDashboard) -> None:
    if filled.left_out:
        rows = list(filled.left_out.items())
        console.table("Left out, since they would be empty", ("panel", "why"), rows)


def _send(
    job: Job,
    settings: LoggerConfig,
    filled: FilledDashboard,
    chain: Sequence[Block],
    tunes: Sequence[SampleTune],
) -> list[tuple[str, object]]:
    """Save view and report in wandb, and the tunes as a run of their own; say where they are."""
    import wandb

    server = str(wandb.setup(wandb.Settings(silent=True)).settings.base_url)
    choice = wandb_mode.choose(settings.mode, server)
    if choice.mode != "online":
        reason = choice.reason or "as WANDB_DISABLED says"
        console.note(f"wandb is {choice.mode}: {reason}; nothing is sent")
        return [("to send it", "the same command, where wandb can be reached and has a key")]
    if tunes:
        _log_tunes(job, settings, tunes)
    assert settings.project is not None, "checks refuse a logger of kind wandb without a project"
    title = f"{job.recipe.removesuffix('/dashboard').replace('/', ', ')}: before and after"
    sent = send(job.folder, filled, chain, title, entity=settings.entity, project=settings.project)
    return list(sent.items())


def _say_waiting(runs: Sequence[WatchedRun]) -> None:
    """Name the runs that wandb does not have yet, with the command that uploads them."""
    for run in runs:
        if run.waiting is not None:
            upload = f"wandb sync {shlex.quote(str(run.waiting))}"
            console.note(f"{run.label} was recorded offline; its panels are empty until: {upload}")


def _log_tunes(job: Job, settings: LoggerConfig, tunes: Sequence[SampleTune]) -> None:
    """Log a run that holds the table of tunes, for the report."""
    recorded = LoggedRun(job.folder, 0, job.fingerprint, public(job.config))
    for kind, logger in loggers.build([settings], recorded):
        kind.show_tunes(logger, 0, tunes)
        logger.finalize("success")
    loggers.close()


def _plain(
    filled: FilledDashboard, chain: Sequence[Block], runs: Sequence[WatchedRun]
) -> dict[str, Any]:
    """Return what is sent, as JSON."""
    return {
        "runs": [{"label": r.label, "folder": str(r.folder), "wandb": r.wandb_id} for r in runs],
        **dataclasses.asdict(filled),
        "report": [{"block": type(block).__name__, **dataclasses.asdict(block)} for block in chain],
    }
