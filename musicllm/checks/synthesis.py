"""Rules on what a teacher writes: those of its kind, and budgets that nothing counts."""

from __future__ import annotations

from collections.abc import Iterator

from musicllm.errors import Problem
from musicllm.schema import Config, SynthesisConfig
from musicllm.schema import keys as schema
from musicllm.synthesis.kind import SHARED_KEYS, SYNTHESES


def reads_records(config: Config) -> bool:
    """Return whether a teacher is asked about the records of `data.sources`."""
    kind = SYNTHESES.get(config.synthesis.kind)
    return config.task == "synthesize" and kind is not None and kind.reads_records


def settings(config: Config) -> Iterator[Problem]:
    """Yield what the kind refuses or does not follow, and a budget of money without prices."""
    if config.task != "synthesize":
        return
    spec = config.synthesis
    kind = SYNTHESES.get(spec.kind)  # `values` reports one that does not exist
    if kind is not None:
        yield from kind.problems(spec)
        followed = (*SHARED_KEYS, *kind.keys)
        for name in schema.settings(SynthesisConfig):
            value = getattr(spec, name)
            if name not in followed and value not in (None, {}, []):
                rule = f"has no effect on synthesis.kind={spec.kind}"
                fix = "write {}" if name == "options" else "write null"
                yield Problem(f"synthesis.{name}", value, rule, fix)
    if spec.max_cost is not None and not (spec.input_price or spec.output_price):
        rule = "is a budget of money, and synthesis.input_price and output_price are 0"
        yield Problem("synthesis.max_cost", spec.max_cost, rule, "write the prices, or max_tokens")
