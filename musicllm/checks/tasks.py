"""Rules on what a recipe does: its task, its name, its inputs, its benchmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from musicllm.config import nearest
from musicllm.errors import Problem
from musicllm.schema import BenchmarkConfig, Config
from musicllm.stages import STAGES

KINDS = ("multiple_choice", "theory", "generation", "perplexity", "compression")
ASKED = ("multiple_choice", "theory")
"""Kinds of benchmark with questions and lettered options."""

MODES = ("likelihood", "perplexity", "generation")
FORMATS = ("harness", "opencompass", "role_play", "chain_of_thought")
LONG_PROMPTS = ("drop_shots", "stop")


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
    if config.task == "compare" and not config.runs:
        yield Problem("runs", "[]", "names no evaluation", "write runs=[<run>,<run>]")


def benchmarks(config: Config) -> Iterator[Problem]:
    """Yield benchmarks without what they measure on, or that say too little."""
    if config.task == "evaluate" and not config.benchmark:
        yield Problem("benchmark", "[]", "names no benchmark", "use benchmark=[theory]")
    for name, spec in config.benchmark.items():
        yield from _settings(name, spec)
        if config.task == "evaluate":
            yield from _materials(config, name, spec)


def _settings(name: str, spec: BenchmarkConfig) -> Iterator[Problem]:
    """Yield settings of one benchmark that are none of their values or do not go together."""
    allowed: dict[str, tuple[str, ...]] = {"kind": KINDS, "long_prompts": LONG_PROMPTS}
    if spec.kind in ASKED:
        allowed |= {"mode": MODES, "prompt_format": FORMATS}
    for key, values in allowed.items():
        if (value := getattr(spec, key)) not in values:
            rule = f"must be one of {', '.join(map(str, values))}"
            shown = "null" if value is None else value
            yield Problem(f"benchmark.{name}.{key}", shown, rule, nearest(str(value), values))
    if spec.kind in ASKED and (spec.mode == "generation") != (spec.max_new_tokens is not None):
        written = "null" if spec.max_new_tokens is None else spec.max_new_tokens
        rule = f"does not fit mode={spec.mode}: answers have a length where they are written"
        yield Problem(f"benchmark.{name}.max_new_tokens", written, rule)
    if spec.prompt_format == "chain_of_thought" and spec.mode != "generation":
        rule = f"does not fit mode={spec.mode}: a thought comes between question and letter"
        key = f"benchmark.{name}.prompt_format"
        yield Problem(key, spec.prompt_format, rule, "write mode=generation, or opencompass")
    for key in ("num_questions", "max_length", "max_new_tokens"):
        if (number := getattr(spec, key)) is not None and number < 1:
            yield Problem(f"benchmark.{name}.{key}", number, "must be at least 1")
    if spec.num_fewshot < 0:
        yield Problem(f"benchmark.{name}.num_fewshot", spec.num_fewshot, "must be at least 0")
    if spec.kind == "multiple_choice" and spec.location is None:
        yield Problem(f"benchmark.{name}.location", "null", "has no questions")
    if spec.kind == "multiple_choice" and spec.split is None:
        yield Problem(f"benchmark.{name}.split", "null", "names no questions", "write test")


def _materials(config: Config, name: str, spec: BenchmarkConfig) -> Iterator[Problem]:
    """Yield inputs that a benchmark reads and nobody named."""
    from_corpus = spec.kind == "compression" or (spec.kind == "perplexity" and not spec.location)
    if from_corpus and "corpus" not in config.inputs:
        yield needs("corpus", f"benchmark {name} reads its {spec.split} split")
    if spec.kind == "generation" and not {"corpus", "instructions"} & set(config.inputs):
        yield needs("instructions", f"benchmark {name} takes its requests from there")


def needs(role: str, why: str) -> Problem:
    """Return the problem of an input that is not there."""
    return Problem(f"inputs.{role}", "???", f"is missing: {why}", "name a recipe or a folder")
