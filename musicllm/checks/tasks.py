"""Rules on what a recipe does: its task, its name, its inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.runs.stages import STAGES
from musicllm.schema import Config


def verbs(config: Config) -> Iterator[Problem]:
    """Yield a stage that is not the recipe's."""
    if config.stage not in (config.task, "plan"):
        yield Problem(
            "stage", config.stage, f"does not fit this recipe, whose task is {config.task}",
            f"use stage={config.task}, stage=plan, or another recipe",
        )  # fmt: skip


def names(config: Config) -> Iterator[Problem]:
    """Yield a run name that is not a plain folder name."""
    if config.name is not None and not re.fullmatch(r"[\w][\w.+=-]*", config.name):
        rule = "names a folder: letters, digits and . _ + = - after the first"
        yield Problem("name", config.name, rule)


def inputs(config: Config) -> Iterator[Problem]:
    """Yield missing inputs of the task."""
    if config.task not in STAGES:
        return
    for role in STAGES[config.task].needs:
        if role not in config.inputs:
            yield needs(role, f"a {config.task} stage reads a {role}")
    if config.task == "pipeline" and not config.steps:
        yield Problem("steps", "[]", "a pipeline needs at least one recipe")
    if config.task == "compare" and not config.runs:
        yield Problem("runs", "[]", "names no evaluation", "write runs=[<run>,<run>]")
    if config.task == "watch" and not config.runs:
        yield Problem("runs", "[]", "names no training", "write runs=[<run>]")
    if config.task == "search" and config.search.query is None and config.search.file is None:
        fix = "write search.query=<words or ABC>, or search.file=<file>"
        yield Problem("search.query", "null", "names nothing to look for", fix)
    if config.watch and config.task != "watch":
        yield Problem("watch", True, "has no effect on this recipe", "use it with recipe=report")


def needs(role: str, why: str) -> Problem:
    """Return the problem of an input that is not there."""
    return Problem(f"inputs.{role}", "???", f"is missing: {why}", "name a recipe or a folder")
