"""Rules on benchmarks: their values, what goes together, and what they read."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.checks.tasks import needs
from musicllm.config import nearest
from musicllm.errors import Problem
from musicllm.schema import BenchmarkConfig, Config

KINDS = ("multiple_choice", "theory", "generation", "perplexity", "compression")
ASKED = ("multiple_choice", "theory")
"""Kinds of benchmark with questions and lettered options."""

MODES = ("likelihood", "perplexity", "generation")
FORMATS = ("harness", "opencompass", "role_play", "chain_of_thought")
LONG_PROMPTS = ("drop_shots", "stop")

MOST = {
    "num_fewshot": (0, 1000),
    "num_questions": (1, 1 << 40),
    "max_length": (1, 1 << 30),
    "max_new_tokens": (1, 1 << 20),
}
"""Smallest and largest sensible value of numbers; null is always allowed by the schema."""


def values(config: Config) -> Iterator[Problem]:
    """Yield settings that are none of their values."""
    for name, spec in config.benchmark.items():
        allowed: dict[str, tuple[str, ...]] = {"kind": KINDS, "long_prompts": LONG_PROMPTS}
        if spec.kind in ASKED:
            allowed |= {"mode": MODES, "prompt_format": FORMATS}
        for key, words in allowed.items():
            if (value := getattr(spec, key)) not in words:
                rule = f"must be one of {', '.join(words)}"
                shown = "null" if value is None else value
                yield Problem(f"benchmark.{name}.{key}", shown, rule, nearest(str(value), words))
        for key, (low, high) in MOST.items():
            number = getattr(spec, key)
            if number is not None and not low <= number <= high:
                yield Problem(f"benchmark.{name}.{key}", number, f"must be from {low} to {high}")


def combinations(config: Config) -> Iterator[Problem]:
    """Yield settings of one benchmark that do not go together."""
    for name, spec in config.benchmark.items():
        if spec.kind in ASKED and (spec.mode == "generation") != (spec.max_new_tokens is not None):
            written = "null" if spec.max_new_tokens is None else spec.max_new_tokens
            rule = f"does not fit mode={spec.mode}: answers have a length where they are written"
            yield Problem(f"benchmark.{name}.max_new_tokens", written, rule)
        if spec.prompt_format == "chain_of_thought" and spec.mode != "generation":
            rule = f"does not fit mode={spec.mode}: a thought comes between question and letter"
            key = f"benchmark.{name}.prompt_format"
            yield Problem(key, spec.prompt_format, rule, "write mode=generation, or opencompass")


def materials(config: Config) -> Iterator[Problem]:
    """Yield what a benchmark reads and nobody named."""
    if config.task == "evaluate" and not config.benchmark:
        yield Problem("benchmark", "[]", "names no benchmark", "use benchmark=[theory]")
    for name, spec in config.benchmark.items():
        if spec.kind == "multiple_choice" and spec.location is None:
            yield Problem(f"benchmark.{name}.location", "null", "has no questions")
        if spec.kind == "multiple_choice" and spec.split is None:
            yield Problem(f"benchmark.{name}.split", "null", "names no questions", "write test")
        if config.task == "evaluate":
            yield from _inputs(config, name, spec)


def _inputs(config: Config, name: str, spec: BenchmarkConfig) -> Iterator[Problem]:
    from_corpus = spec.kind == "compression" or (spec.kind == "perplexity" and not spec.location)
    if from_corpus and "corpus" not in config.inputs:
        yield needs("corpus", f"benchmark {name} reads its {spec.split} split")
    if spec.kind == "generation" and not {"corpus", "instructions"} & set(config.inputs):
        yield needs("instructions", f"benchmark {name} takes its requests from there")
