"""What the plan of a synthesis says: who is asked about what, and about how much that takes."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path

from musicllm.errors import MusicLLMError
from musicllm.runs.inputs import find_input
from musicllm.runs.preparation import specs_of
from musicllm.runs.teachers import prices_of
from musicllm.schema import Config
from musicllm.synthesis.estimate import Estimate, estimate
from musicllm.synthesis.items import records_of
from musicllm.synthesis.kind import SYNTHESES
from musicllm.synthesis.prompt_file import PromptFile

ONLINE = ("hub",)
"""Readers that may download; a plan leaves them alone."""


def synthesis_rows(config: Config) -> list[tuple[str, object]]:
    """Return rows for the table of a plan.

    Cost: records on this machine are read once, whole; nothing is downloaded, and nobody is asked.
    """
    spec, inference = config.synthesis, config.inference
    kind = SYNTHESES[spec.kind]
    teacher = config.model.endpoint or config.inputs.get("model") or config.model.name
    named = f", model {inference.model_name or 'the first that it lists'}"
    rows: list[tuple[str, object]] = [
        ("kind", spec.kind),
        ("teacher", f"{teacher}{named if config.model.endpoint else ''}"),
        ("prompt", kind.prompt(spec)),
    ]
    if kind.reads_records:
        rows += [
            (f"reads {name}", f"{source.reader}: {source.location or 'what comes with it'}; "
                              f"licence: {source.licence}")
            for name, source in config.data.sources.items()
        ]  # fmt: skip
    try:
        about: Estimate | str = _estimate(config)
    except MusicLLMError as error:
        about = f"unknown until the records can be read: {error}"
    if isinstance(about, Estimate):
        rows += about.rows(prices_of(config))
    else:
        rows.append(("items", about))
    return [*rows, *_limits(config)]


def _estimate(config: Config) -> Estimate | str:
    spec = config.synthesis
    kind = SYNTHESES[spec.kind]
    sources = config.data.sources if kind.reads_records else {}
    if any(source.reader in ONLINE for source in sources.values()):
        return "unknown until the data are downloaded"
    synthesis = kind.open(spec, config.seed)
    specs = specs_of(config, lambda role: _path_of(config, role)) if sources else ()
    items = islice(synthesis.requests(records_of(specs, Counter())), spec.max_items)
    return estimate(
        items,
        synthesis,
        PromptFile(synthesis.prompt),
        max_new_tokens=config.generation.max_new_tokens,
        max_tries=spec.max_tries,
    )


def _path_of(config: Config, role: str) -> Path:
    """Return the folder of an input; errors as `find_input`."""
    return find_input(f"inputs.{role}", config.inputs[role], config).path


def _limits(config: Config) -> list[tuple[str, object]]:
    """Return the limits that are set, and how long they make a run at least."""
    spec = config.synthesis
    rows: list[tuple[str, object]] = []
    paces = {
        "requests": spec.requests_per_minute,
        "tokens": spec.tokens_per_minute,
    }
    pace = ", ".join(f"{most:,g} {unit}" for unit, most in paces.items() if most is not None)
    if pace:
        rows.append(("at most per minute", pace))
    budgets = {"in money": spec.max_cost, "tokens": spec.max_tokens}
    budget = ", ".join(f"{most:,g} {unit}" for unit, most in budgets.items() if most is not None)
    rows.append(("budget", budget or "none"))
    return rows
