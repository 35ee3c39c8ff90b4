"""What an evaluation measured: results with their intervals, and what was copied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.evals.kind import BENCHMARK_KINDS, subset_words
from musicllm.report.card.markdown import cell, table
from musicllm.report.runs import read_json
from musicllm.report.tables import as_text, words

MEMORISATION = (
    "copy_share", "near_copies", "copy_share_notes", "melodic_similarity", "melodic_copies",
    "known_figures", "longest_copy", "longest_copy_notes",
)  # fmt: skip
"""Metrics of copies of training data, of benchmarks of tunes."""

MOST_ROWS = 12
"""Metrics of a benchmark in the card; the others are counted."""

COMPARED = "reference"
"""Role of what people wrote, measured in the same way."""


def results_section(evaluation: Artifact | None) -> str:
    """Return a table for each benchmark of the model; empty without an evaluation."""
    models, facts = _read(evaluation)
    results = models.get("model", {})
    if not results:
        return ""
    parts = [
        _benchmark(name, values, models.get(COMPARED, {}).get(name), facts.get(name, {}))
        for name, values in results.items()
    ]
    note = "In brackets the interval that holds the value with 95 %."
    return f"## Evaluation\n\n{note}\n\n" + "\n".join(parts)


def memorisation_section(evaluation: Artifact | None) -> str:
    """Return how much of what the model writes is copied; empty where that was not measured."""
    models, _ = _read(evaluation)
    reference = models.get(COMPARED, {})
    rows = []
    for name, values in models.get("model", {}).items():
        for metric in MEMORISATION:
            if values.get(metric) is not None:
                people = _measured(reference.get(name, {}), metric)
                rows.append([words(name), words(metric), _measured(values, metric), people])
    if not rows:
        return ""
    text = (
        "Against the training data of the run. The last column is held-out music by people, "
        "measured in the same way: what is common to a style is shared without copying.\n"
    )
    heads = ("benchmark", "metric", "model", "people")
    return f"## Memorisation\n\n{text}\n{table(heads, rows)}"


def _read(
    evaluation: Artifact | None,
) -> tuple[Mapping[str, Mapping[str, Any]], Mapping[str, Any]]:
    if evaluation is None:
        return {}, {}
    content = read_json(evaluation.path / "results.json")
    return content["models"], content.get("benchmarks", {})


def _benchmark(
    name: str,
    values: Mapping[str, Any],
    reference: Mapping[str, Any] | None,
    facts: Mapping[str, Any],
) -> str:
    """Return the table of a benchmark: its headline, and what has an interval."""
    kind = BENCHMARK_KINDS.get(facts.get("kind", ""))
    headline = facts.get("headline") or (kind.headline if kind else "")
    metrics = [
        metric
        for metric in values
        if metric == headline or (f"{metric}_low" in values and metric not in MEMORISATION)
    ]
    metrics.sort(key=lambda metric: metric != headline)
    rows = [
        [words(metric), _measured(values, metric),
         *([_measured(reference, metric)] if reference else [])]
        for metric in metrics[:MOST_ROWS]
        if values[metric] is not None
    ]  # fmt: skip
    subset = subset_words(facts) if facts else ""
    caption = f"{words(name)} ({subset})" if subset else words(name)
    heads = ("", "model", *(["people"] if reference else []))
    rest = len(metrics) - MOST_ROWS
    more = f"\n{rest} more metrics are in results.json of the evaluation.\n" if rest > 0 else ""
    counted = kind.counted if kind else ""
    count = f"{as_text(values[counted])} {kind.items}. " if kind and values.get(counted) else ""
    licence = (
        f"{count}Licence of the benchmark: {facts['licence']}." if "licence" in facts else count
    )
    return f"### {cell(caption)}\n\n{cell(licence)}\n\n{table(heads, rows)}{more}"


def _measured(values: Mapping[str, Any], metric: str) -> str:
    low, high = values.get(f"{metric}_low"), values.get(f"{metric}_high")
    text = as_text(values.get(metric))
    return text if low is None or high is None else f"{text} ({as_text(low)} to {as_text(high)})"
