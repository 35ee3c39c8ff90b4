"""Rules on benchmarks that hold for all kinds, and those that their kinds bring along."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from musicllm.checks.tasks import needs
from musicllm.errors import Problem
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.schema import BenchmarkConfig, Config

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


def of_kinds(config: Config) -> Iterator[Problem]:
    """Yield what the kinds of the benchmarks refuse or miss, and settings that they do not read."""
    if config.task == "evaluate" and not config.benchmark:
        yield Problem("benchmark", "[]", "names no benchmark", "use benchmark=[theory]")
    for name, group in config.benchmark.items():
        if kind := BENCHMARK_KINDS.get(group.kind):
            spec = dataclasses.replace(group, name=name)
            yield from kind.problems(spec)
            yield from _ignored(spec, kind.keys)
            if config.task == "evaluate":
                for role, why in kind.missing_inputs(spec, frozenset(config.inputs)):
                    yield needs(role, why)


def _ignored(spec: BenchmarkConfig, keys: tuple[str, ...]) -> Iterator[Problem]:
    """Yield settings that a benchmark of this kind does not read."""
    for key, unset in UNSET.items():
        value = getattr(spec, key)
        if key not in keys and value != unset:
            rule = f"is not read by a benchmark of kind {spec.kind}"
            fix = f"write {_word(unset)}"
            yield Problem(f"benchmark.{spec.name}.{key}", _word(value), rule, fix)
    if "revision" in keys and spec.revision is not None and spec.location is None:
        rule = f"is of a hub data set, and benchmark.{spec.name}.location=null names none"
        yield Problem(f"benchmark.{spec.name}.revision", spec.revision, rule, "write null")


def _word(value: object) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, list):
        return f"[{','.join(map(str, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)
