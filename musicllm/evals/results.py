"""Numbers with their uncertainty, and the files of an evaluation.

`results.json` has the layout of lm-evaluation-harness at its top, so that what reads the harness's
results reads ours, and beside it our own metrics of every role. Does not measure anything: the
intervals take counts and per-item values that others measured. All intervals are two-sided and
cover 95 %.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musicllm import artifacts

Metrics = dict[str, float | int | None]
"""Value by metric; `<metric>_low` and `<metric>_high` bound it where there is an interval."""

Z95 = 1.959963984540054
"""The normal distribution lies within plus or minus this many deviations with 95 %."""

NUM_RESAMPLES = 1000

HARNESS_KEYS = (
    "results", "groups", "group_subtasks", "configs", "versions", "n-shot", "higher_is_better",
    "n-samples",
)  # fmt: skip
"""What lm-evaluation-harness writes by task or group."""


@dataclass(frozen=True)
class BenchmarkResult:
    """The results of one model in one benchmark.

    Attributes:
        metrics: the numbers.
        predictions: one row per question.
        generations: one row per generated tune.
        harness: results in the harness's format, of benchmarks that are its tasks; else empty.
    """

    metrics: Metrics
    predictions: list[dict[str, object]] = field(default_factory=list)
    generations: list[dict[str, object]] = field(default_factory=list)
    harness: dict[str, Any] = field(default_factory=dict)


def with_interval(name: str, value: float, interval: tuple[float, float]) -> Metrics:
    """Return a metric and its bounds under the names of `Metrics`."""
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}


def wilson(successes: int, num_trials: int) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927); (0, 1) when nothing was tried.

    Args:
        successes: how many of the trials succeeded.
        num_trials: all trials, each independent of the others.
    """
    if num_trials == 0:
        return 0.0, 1.0
    share, z2n = successes / num_trials, Z95**2 / num_trials
    centre = share + z2n / 2
    spread = math.sqrt(z2n * (share * (1 - share) + z2n / 4))
    return max(0.0, (centre - spread) / (1 + z2n)), min(1.0, (centre + spread) / (1 + z2n))


def bootstrap(
    values: Sequence[float], seed: int, weights: Sequence[float] | None = None
) -> tuple[float, float]:
    """Return the percentile interval of `sum(values) / sum(weights)` (Efron 1979).

    Items are resampled with their weights, so the interval of a share of all bars respects that
    bars come in tunes. Cost: `NUM_RESAMPLES` times the number of items, in time; little memory.

    Args:
        values: one number per item; at least one item.
        seed: of the resampling; equal seeds give equal intervals.
        weights: what each item counts in the denominator; None is 1 each, for a mean.
    """
    ratios = resampled(values, seed, weights)
    low, high = np.percentile(ratios, [2.5, 97.5]) if len(ratios) else (0.0, 0.0)
    return float(low), float(high)


def resampled(
    values: Sequence[float], seed: int, weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """Return `sum(values) / sum(weights)` of each resample, but those without any weight.

    For the arguments see `bootstrap`.
    """
    numerators = np.asarray(values, dtype=np.float64)
    denominators = np.ones_like(numerators) if weights is None else np.asarray(weights, np.float64)
    assert len(numerators) == len(denominators) > 0, "bootstrap needs items, one weight each"
    generator = np.random.default_rng(seed)
    draws = (generator.integers(0, len(numerators), len(numerators)) for _ in range(NUM_RESAMPLES))
    sums = ((numerators[indices].sum(), denominators[indices].sum()) for indices in draws)
    return np.array([value / weight for value, weight in sums if weight > 0])


def bootstrap_shares(parts: Sequence[tuple[int, int]], seed: int) -> tuple[float, float]:
    """Return the percentile interval of the mean of shares, each resampled within its part.

    Drawing n trials with replacement, of which k succeeded, draws a binomial number of successes;
    so this is the bootstrap of 0 and 1, in the time of a few draws.

    Args:
        parts: successes and trials of each part, at least one part and one trial in each.
        seed: of the resampling.
    """
    assert parts, "a mean of shares needs a share"
    right, num = np.asarray(parts, dtype=np.int64).T
    resamples = np.random.default_rng(seed).binomial(num, right / num, (NUM_RESAMPLES, len(num)))
    low, high = np.percentile((resamples / num).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def write_results(
    folder: Path,
    models: Mapping[str, Mapping[str, Metrics]],
    *,
    benchmarks: Mapping[str, Mapping[str, Any]] | None = None,
    comparisons: Mapping[str, Mapping[str, Any]] | None = None,
    harness: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> None:
    """Write `results.json`.

    Args:
        folder: of the artifact.
        models: metrics by benchmark by role of the model.
        benchmarks: facts by benchmark, at least `complete` (all its questions were asked) and
            `num_questions`; readers mark what is not complete.
        comparisons: the model against the baseline, by benchmark; see `choices.AccuracyComparison`.
        harness: the harness's results by benchmark by role. Those of the role `model` make the top
            of the file, those of others stand under `other_models`. A task that two benchmarks ask
            is named `<benchmark>/<task>`. Numbers that JSON has not (NaN) become null.
    """
    of_roles = {role: _merged(by_benchmark) for role, by_benchmark in (harness or {}).items()}
    artifacts.write_json(
        folder / "results.json",
        {
            **of_roles.pop("model", {key: {} for key in HARNESS_KEYS}),
            "models": models,
            "benchmarks": benchmarks or {},
            "comparisons": comparisons or {},
            **({"other_models": of_roles} if of_roles else {}),
        },
    )


def _merged(by_benchmark: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the harness's results of several benchmarks as those of one run."""
    tasks = [task for results in by_benchmark.values() for task in results["results"]]
    merged: dict[str, Any] = {key: {} for key in HARNESS_KEYS}
    for benchmark, results in by_benchmark.items():
        names = {task: f"{benchmark}/{task}" for task in tasks if tasks.count(task) > 1}
        for key in HARNESS_KEYS:
            part = results.get(key, {})
            merged[key] |= {names.get(task, task): _plain(value) for task, value in part.items()}
        merged["group_subtasks"] |= {
            names.get(group, group): [names.get(task, task) for task in subtasks]
            for group, subtasks in results.get("group_subtasks", {}).items()
        }
    return merged


def _plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object a line; NaN and infinities are refused, since JSON has none."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    artifacts.write_text(path, "".join(lines))
