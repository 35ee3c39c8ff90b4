"""Runs the stage of a configuration once.

What is complete is not made again; what was interrupted continues in the same folder. The result
is summed up in the terminal and in `summary.json`, and `latest` beside the run folders names the
newest complete one, so that other recipes find it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from musicllm import artifacts, console, facts, quoting, runtime
from musicllm.command import NO_WORDS, Command
from musicllm.errors import ArtifactError, MusicLLMError
from musicllm.job import Job, public
from musicllm.launch import processes, ranks
from musicllm.launch.processes import Rows
from musicllm.runs import names, needs
from musicllm.runs.binding import bind
from musicllm.runs.stages import STAGES, is_interactive, makes_artifact
from musicllm.schema import Config

NEXT = {
    "corpus": "{corpus} in a recipe that trains",
    "adapter": "python -m musicllm recipe=merge {adapter}",
    "evaluation": "python -m musicllm recipe=compare {runs}",
    "model": "python -m musicllm recipe=generate {model} hardware={hardware}",
    "translations": "{translations} in a recipe that prepares",
    "records": "python -m musicllm recipe=inspect data=synthesized {synthesized}",
}
"""What an artifact is for, by its kind."""


def next_command(kind: str, folder: Path, hardware: str) -> str | None:
    """Return what to do with an artifact, as it is typed in a shell; None where it is an end."""
    if kind not in NEXT:
        return None
    roles = {
        role: quoting.typed(f"inputs.{role}", folder)
        for role in ("corpus", "adapter", "model", "synthesized", "translations")
    }
    runs = f"runs=[<another run>,{quoting.quoted(str(folder))}]"
    plain = str(folder) == quoting.quoted(str(folder))
    return NEXT[kind].format(hardware=hardware, runs=runs if plain else f'"{runs}"', **roles)


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes:
        folder: the run folder.
        up_to_date: nothing had to be done.
        metrics: flat numbers that the artifact recorded.
    """

    folder: Path
    up_to_date: bool = False
    metrics: Mapping[str, Any] = field(default_factory=dict)


def run(config: Config, recipe: str, command: Command = NO_WORDS) -> Outcome:
    """Run the configured stage, or find that its artifact is complete.

    Args:
        config: checked.
        recipe: its name.
        command: its words, which a pipeline passes on to its steps.

    Raises:
        MusicLLMError: whatever the user can act on.
    """
    stage = STAGES[config.task]
    if is_interactive(config):
        return _talk(config, recipe, command)
    if not makes_artifact(config):
        job = bind(config, recipe, command)
        runtime.prepare(config.hardware.accelerator)
        processes.verb(job)(job)
        return Outcome(job.folder)
    if ranks.launched():
        processes.refuse_other_ranks(config, recipe)
    job = bind(config, recipe, command)
    console.heading(f"{recipe}: {config.description}")
    existing = job.existing()
    if existing is not None and not stage.repeats:
        console.say(f"up to date: {job.folder}")
        return Outcome(job.folder, True, existing.facts.get("metrics", {}))
    needs.require(config)
    job = dataclasses.replace(job, run_facts=facts.of_this_run())
    runtime.prepare(config.hardware.accelerator)
    if not ranks.is_main():  # rank 0 holds the folder, and makes the artifact
        processes.work(job)
        return Outcome(job.folder)
    with _alone(job.folder):
        return _make(job)


def _talk(config: Config, recipe: str, command: Command) -> Outcome:
    """Run a stage that makes nothing; several may use one run folder at a time."""
    if ranks.launched():
        processes.refuse_other_ranks(config, recipe)
    job = bind(config, recipe, command)
    console.heading(f"{recipe}: {config.description}")
    needs.require(config)
    runtime.prepare(config.hardware.accelerator)
    processes.verb(job)(job)
    return Outcome(job.folder)


def _make(job: Job) -> Outcome:
    from omegaconf import OmegaConf

    names.take(job.folder, job.fingerprint, job.decides, job.earlier)
    resolved = OmegaConf.to_yaml(OmegaConf.create(public(job.config)))
    artifacts.write_text(job.folder / "config.yaml", resolved)
    started = time.monotonic()
    try:
        rows = processes.work(job)
    except MusicLLMError as error:
        names.fail(job.folder, error)
        raise
    seconds = time.monotonic() - started
    artifact = job.existing()
    assert artifact is not None, f"the stage {job.config.task} ended without its artifact"
    _sum_up(job, rows, seconds)
    return Outcome(job.folder, metrics=artifact.facts.get("metrics", {}))


def _sum_up(job: Job, rows: Rows, seconds: float) -> None:
    summary = {
        "recipe": job.recipe,
        "task": job.config.task,
        "seconds": round(seconds, 1),
        "rows": [[label, str(value)] for label, value in rows],
    }
    artifacts.write_json(job.folder / "summary.json", summary)
    artifacts.write_text(job.folder.parent / "latest", job.folder.name + "\n")
    lines = [("made", f"{job.kind} in {job.artifact_path}"), ("seconds", f"{seconds:.1f}")]
    is_table = job.kind == "records" and job.config.synthesis.part == "instruction"
    kind = "translations" if is_table else job.kind
    following = next_command(kind, job.folder, job.config.hardware.name)
    if following is not None:
        lines.append(("use it", following))
    console.table("", ("", ""), [*rows, *lines])


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run folder against a second process with the same command."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArtifactError(f"{folder} is in use by another process; wait for it") from None
        yield
