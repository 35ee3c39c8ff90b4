"""Rules on benchmarks: their values, what goes together, and what they read."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.checks.tasks import needs
from musicllm.errors import Problem
from musicllm.schema import BenchmarkConfig, Config
from musicllm.schema.keys import settings

ASKED = ("multiple_choice", "theory")
"""Kinds of benchmark with questions and lettered options."""

UNSET: dict[str, object] = {
    "location": None,
    "revision": None,
    "subjects": [],
    "levels": [],
    "num_fewshot": 0,
    "prompt_format": None,
    "mode": None,
    "add_bos": True,
    "as_chat": False,
    "max_length": None,
    "long_prompts": "drop_last_shots",
    "max_new_tokens": None,
    "options": {},
}
"""What says nothing, by key: the values of conf/measurement/default.yaml (tested)."""

_OF_PROMPTS = ("num_fewshot", "prompt_format", "mode", "add_bos", "as_chat", "max_length",
               "long_prompts", "max_new_tokens")  # fmt: skip
USED: dict[str, tuple[str, ...]] = {
    "multiple_choice": ("location", "revision", "subjects", *_OF_PROMPTS),
    "theory": ("subjects", "levels", *_OF_PROMPTS),
    "generation": ("subjects",),
    "perplexity": ("location", "revision"),
    "compression": ("location", "revision"),
}
"""Keys of UNSET that a kind of benchmark reads; all read split and num_questions."""


def values(config: Config) -> Iterator[Problem]:
    """Yield null where a kind asks questions."""
    for name, spec in config.benchmark.items():
        for key in ("mode", "prompt_format") if spec.kind in ASKED else ():
            if getattr(spec, key) is None:
                words = ", ".join(map(str, settings(BenchmarkConfig)[key].choices))
                yield Problem(f"benchmark.{name}.{key}", "null", f"must be one of {words}")


def combinations(config: Config) -> Iterator[Problem]:
    """Yield settings of one benchmark that do not go together, or that its kind ignores."""
    for name, spec in config.benchmark.items():
        if spec.kind in ASKED and (spec.mode == "generation") != (spec.max_new_tokens is not None):
            written = "null" if spec.max_new_tokens is None else spec.max_new_tokens
            rule = f"does not fit mode={spec.mode}: answers have a length where they are written"
            yield Problem(f"benchmark.{name}.max_new_tokens", written, rule)
        if spec.prompt_format == "chain_of_thought" and spec.mode != "generation":
            rule = f"does not fit mode={spec.mode}: a thought comes between question and letter"
            key = f"benchmark.{name}.prompt_format"
            yield Problem(key, spec.prompt_format, rule, "write mode=generation, or opencompass")
        if spec.as_chat and spec.mode != "generation":
            rule = f"does not fit mode={spec.mode}: the likelihood of letters is that of plain text"
            yield Problem(f"benchmark.{name}.as_chat", "true", rule, "write false")
        if spec.long_prompts == "truncate" and spec.mode == "generation":
            rule = "does not fit mode=generation: a chat has to begin with its beginning"
            key = f"benchmark.{name}.long_prompts"
            yield Problem(key, spec.long_prompts, rule, "write drop_last_shots or skip")
        yield from _ignored(name, spec)


def _ignored(name: str, spec: BenchmarkConfig) -> Iterator[Problem]:
    """Yield settings that a benchmark of this kind does not read."""
    used = USED.get(spec.kind, tuple(UNSET))
    for key, nothing in UNSET.items():
        value = getattr(spec, key)
        if key not in used and value != nothing:
            rule = f"is not read by a benchmark of kind {spec.kind}"
            yield Problem(f"benchmark.{name}.{key}", _word(value), rule, f"write {_word(nothing)}")
    if "revision" in used and spec.revision is not None and spec.location is None:
        rule = f"is of a hub data set, and benchmark.{name}.location=null names none"
        yield Problem(f"benchmark.{name}.revision", spec.revision, rule, "write null")


def _word(value: object) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


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
