"""Runs recipes one after the other, each in a process of its own.

No step holds memory for the next, and each can be run alone with the command that is printed. A
step whose artifact is complete costs only its composition here. Words of the command other than
the recipe go to every step.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from musicllm import console, quoting
from musicllm.checks import check
from musicllm.command import Command
from musicllm.errors import ConfigError, Problem, StageError
from musicllm.job import Job
from musicllm.runs import composing, needs
from musicllm.runs.binding import bind
from musicllm.runs.stages import STAGES, WRITING
from musicllm.schema import Config
from musicllm.train.interruption import REQUEUE_EXIT_CODE, SIGNALS

STOPPED = (REQUEUE_EXIT_CODE, 130, 143, *(-number for number in SIGNALS))
"""Exit codes of a step that a signal stopped, after it saved or before it had begun."""

SOURCES, BENCHMARKS = "data.sources.", "benchmark."
"""Groups with parts of their own, which not every step has."""

SERVER = ("model.endpoint", "inference.model_name")
"""Name a server and a model on it, for the steps that write with no model of the pipeline."""

OWN = ("recipe", "stage", "task", "name", "steps")
"""Words that are meant for the pipeline itself."""


def fitting(step: str, command: Command) -> list[str]:
    """Return the words of a pipeline's command that are meant for one of its steps.

    Those are all but the pipeline's own, and the settings of sources that the step's data has, of
    benchmarks that it measures (a training that measures none gets none), and of a server, with
    which only steps write that read no model.
    """
    words = [word for word in command.overrides if word.split("=")[0].lstrip("+~") not in OWN]
    plain = [word for word in words if part_of(word) is None]
    config = _composed((quoting.argument("recipe", step), *plain), command.folders)
    parts = {(SOURCES, name) for name in config.data.sources}
    if config.task in WRITING and not config.inputs.keys() & {"model", "adapter"}:
        parts |= {(key, "") for key in SERVER}
    if config.task == "train" and config.callbacks.evaluate_every_steps is None:
        words = [word for word in words if not word.startswith("benchmark=")]
    else:
        parts |= {(BENCHMARKS, name) for name in config.benchmark}
    return [word for word in words if part_of(word) in (None, *parts)]


def part_of(word: str) -> tuple[str, str] | None:
    """Return group and name of `data.sources.<name>.<key>=...` and the like, or None.

    The name of what names a server is empty.
    """
    key = word.partition("=")[0].lstrip("+~")
    if key in SERVER:
        return key, ""
    for group in (SOURCES, BENCHMARKS):
        name, dot, _ = key.removeprefix(group).partition(".")
        if key.startswith(group) and dot:
            return group, name
    return None


def _checked(step: str, command: Command) -> Config:
    config = _composed((quoting.argument("recipe", step), *fitting(step, command)), command.folders)
    if STAGES[config.task].interactive:
        rule = f"is a {config.task}, which ends only when a person ends it; run it by itself"
        raise ConfigError([Problem("steps", step, rule)])
    check(config)
    return config


@cache
def _composed(words: tuple[str, ...], folders: tuple[Path, ...]) -> Config:
    return composing.load(words, folders)[0]


def refuse_unused(steps: Sequence[str], command: Command) -> None:
    """Refuse settings of a source, a benchmark or a server that no step uses.

    Raises:
        ConfigError: there are such settings.
    """
    used = {word for step in steps for word in fitting(step, command)}
    unused = [word for word in command.overrides if part_of(word) and word not in used]
    if unused:
        rule = "is a setting of a source, benchmark or server that no step of this pipeline has"
        pairs = (word.split("=", 1) for word in unused)
        raise ConfigError([Problem(key, value, rule) for key, value in pairs])


def step_words(step: str, command: Command, folders: Mapping[str, Path]) -> list[str]:
    """Return the command line of one step.

    Args:
        step: its recipe.
        command: the pipeline's command, whose other words are passed on.
        folders: run folders of the steps before, by recipe; inputs are bound to them.
    """
    words = [quoting.argument("recipe", step), *fitting(step, command)]
    config = _composed(tuple(words), command.folders)
    bound = {
        role: folders[name]
        for role, name in config.inputs.items()
        if name in folders and command.value(f"inputs.{role}") is None
    }
    words += [quoting.argument(f"inputs.{role}", folder) for role, folder in bound.items()]
    if any(name in folders for name in config.runs) and command.value("runs") is None:
        runs = (folders.get(name, name) for name in config.runs)
        words.append(quoting.list_argument("runs", runs))
    return [*words, *(f"--config-dir={folder}" for folder in command.folders)]


def run(job: Job) -> list[tuple[str, object]]:
    """Run every step that is not up to date; the first failure stops the pipeline.

    What breaks a rule or is not installed in any step is reported before the first one runs.

    Raises:
        ConfigError: a setting fits no step, or breaks a rule in one.
        NotAvailableError: a remaining step needs what is not installed.
        StageError: a step failed, naming the command that continues.
    """
    _composed.cache_clear()  # files may have changed since
    steps, command = job.config.steps, job.command
    refuse_unused(steps, command)
    remaining = [_checked(step, command) for step in steps]
    started = time.monotonic()
    folders: dict[str, Path] = {}
    rows = []
    for number, step in enumerate(steps, 1):
        console.say()
        console.heading(f"[{number}/{len(steps)}] {step}")
        folder, seconds = _step(step_words(step, command, folders), command, remaining)
        del remaining[0]
        folders[step] = folder
        rows.append((step, "up to date" if seconds is None else f"{seconds:.1f} s", folder))
    console.say()
    total = f"{time.monotonic() - started:.1f} s"
    console.table(f"{job.recipe}: {total}", ("step", "time", "where"), rows)
    for page in sorted(folders[steps[-1]].glob("*.html")):
        console.say(f"open {page}")
    return []


def _step(
    words: list[str], command: Command, remaining: Sequence[Config]
) -> tuple[Path, float | None]:
    """Run the first of the remaining steps; return its run folder, and its seconds if it ran."""
    plain = [word for word in words if not word.startswith("--config-dir")]
    config, recipe = composing.load(plain, command.folders)
    check(config)
    job = bind(config, recipe)
    if job.existing():
        console.say(f"up to date: {job.folder}")
        return job.folder, None
    needs.require(*remaining)
    started = time.monotonic()
    code = _wait([sys.executable, "-m", "musicllm", *words])
    if code in STOPPED:
        console.note(f"{recipe} was stopped; the same command continues")
        raise SystemExit(130 if code in (130, -signal.SIGINT) else REQUEUE_EXIT_CODE)
    if code or not job.existing():
        raise StageError(
            f"{recipe} stopped with exit code {code}; what is complete is kept. "
            f"The same command continues; this step alone: {quoting.command(*words)}"
        )
    return job.folder, time.monotonic() - started


def _wait(command: list[str]) -> int:
    """Run a process to its end and return its exit code; it may save before it obeys a signal."""
    with subprocess.Popen(command) as process:
        previous = {
            signum: signal.signal(signum, lambda number, _: process.send_signal(number))
            for signum in (signal.SIGTERM, signal.SIGUSR1)
        }
        try:
            return process.wait()
        except KeyboardInterrupt:  # a terminal sends it to the step, too
            return process.wait()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
