"""Rules on what a recipe does: its task, its name, its inputs, its benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from musicllm.config import nearest
from musicllm.errors import Problem
from musicllm.schema import Config
from musicllm.stages import STAGES


def verbs(config: Config) -> Iterator[Problem]:
    """Yield an unknown task or stage, and a stage that is not the recipe's."""
    if config.task not in STAGES:
        rule = f"is not a stage; there are {', '.join(STAGES)}"
        yield Problem("task", config.task, rule, nearest(config.task, STAGES))
    elif config.stage not in (config.task, "plan"):
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


def benchmarks(config: Config) -> Iterator[Problem]:
    """Yield benchmarks without what they measure on."""
    if config.task != "evaluate":
        return
    if not config.benchmark:
        yield Problem("benchmark", "[]", "names no benchmark", "use benchmark=[theory]")
    for name, spec in config.benchmark.items():
        if spec.kind in ("perplexity", "compression") and "corpus" not in config.inputs:
            yield needs("corpus", f"benchmark {name} reads its {spec.split} split")
        if spec.kind == "generation" and "instructions" not in config.inputs:
            yield needs("instructions", f"benchmark {name} takes its prompts from there")
        if spec.kind == "multiple_choice" and spec.location is None:
            yield Problem(f"benchmark.{name}.location", "null", "has no questions")


def needs(role: str, why: str) -> Problem:
    """Return the problem of an input that is not there."""
    return Problem(f"inputs.{role}", "???", f"is missing: {why}", "name a recipe or a folder")
