"""Finished evaluations for tests of comparisons."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.artifacts import Artifact
from musicllm.evals import choices
from musicllm.evals.results import with_interval, write_results, write_rows
from tests.evals.answered import answered

CATEGORIES = {"law": "humanities", "art_history": "humanities", "physics": "STEM"}

Rows = list[dict[str, Any]]


def answers(skill: float, num: int = 40, *, seed: int = 0) -> Rows:
    """Return answers to questions of three subjects by a model that knows a share of them."""
    draw, rows = random.Random(seed), []
    for subject, category in CATEGORIES.items():
        for number in range(num):
            gold, level = "ABCD"[number % 4], draw.random()
            sure = 0.3 + 0.6 * draw.random()
            letter = gold if level < skill else "ABCD"[(number + 1) % 4]
            logliks = {key: math.log(sure if key == letter else (1 - sure) / 3) for key in "ABCD"}
            rows.append(
                answered(number, letter, gold, subject=subject, category=category, logliks=logliks)
            )
    return rows


def tunes(key_fit: float, num: int = 6) -> Rows:
    """Return rows of tunes; every second one answers the same request as the one before."""
    return [
        {"prompt": f"Write jig {n // 2}.", "parses": n != 3, "num_bars": 8,
         "num_bars_fitting": 4, "key_fit": None if n == 3 else key_fit + n / 100,
         "adherence": {"form_adherence": key_fit}, "structure": None}
        for n in range(num)
    ]  # fmt: skip


def evaluation(
    runs: Path,
    run: str,
    models: Mapping[str, Mapping[str, Rows]],
    *,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    recipe: str = "mmlu",
    config: Mapping[str, Any] | None = None,
    inputs: Sequence[str] = ("model", "baseline"),
) -> Artifact:
    """Make an evaluation artifact.

    Args:
        runs: folder of all runs.
        run: folder of this one below `runs/<recipe>`.
        models: rows of answers, or of tunes, by benchmark by role.
        facts: of benchmarks.
        recipe: that made it.
        config: settings of benchmarks that commands name.
        inputs: roles that were given.
    """
    path = runs / recipe / run / "artifact"
    provenance = {
        "recipe": recipe,
        "config": {"task": "evaluate", "benchmark": config or {},
                   "model": {"location": None, "name": "tiny"}},
        "inputs": {role: {"path": f"{runs}/merge/{run}-{role}"} for role in inputs},
        "musicllm": "0.1.0",
    }  # fmt: skip
    metrics: dict[str, dict[str, Any]] = {}
    predictions: Rows = []
    generations: Rows = []
    for role, by_benchmark in models.items():
        for name, rows in by_benchmark.items():
            target = generations if "prompt" in rows[0] else predictions
            target += [{"role": role, "benchmark": name, **row} for row in rows]
            metrics.setdefault(role, {})[name] = _metrics(rows)
    with artifacts.writing(path, "evaluation", f"fingerprint-{run}", provenance) as (folder, _):
        write_results(folder, metrics, benchmarks=facts)
        write_rows(folder / "predictions.jsonl", predictions)
        write_rows(folder / "generations.jsonl", generations)
    return artifacts.read(path)


def _metrics(rows: Rows) -> dict[str, Any]:
    if "question_id" in rows[0]:
        return choices.metrics(rows, seed=0)
    if "nll_nats" in rows[0]:
        bits = sum(row["nll_nats"] for row in rows) / math.log(2)
        value = bits / sum(row["num_characters"] for row in rows)
        return with_interval("bits_per_character", value, (value - 0.1, value + 0.1))
    fits = [row["key_fit"] for row in rows if row["key_fit"] is not None]
    return {
        **with_interval("key_fit", sum(fits) / len(fits), (0.5, 0.6)),
        "num_tunes": len(rows),
        "parse_share": 0.5,
        "form_adherence": 0.5,
        "bars_fitting_strict": 0.5,
    }
