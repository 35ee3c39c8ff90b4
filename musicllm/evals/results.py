"""Numbers with their uncertainty, and the two files of an evaluation.

Does not measure anything: the intervals take counts and per-item values that others measured.
All intervals are two-sided and cover 95 %.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from musicllm import artifacts

Metrics = dict[str, float | int | None]
"""Value by metric; `<metric>_low` and `<metric>_high` bound it where uncertainty is known."""

Z95 = 1.959963984540054
"""The normal distribution lies within plus or minus this many deviations with 95 %."""

NUM_RESAMPLES = 1000


@dataclass(frozen=True)
class Outcome:
    """What one benchmark found for one model.

    Attributes:
        metrics: the numbers.
        predictions: one row per question.
        generations: one row per generated tune.
    """

    metrics: Metrics
    predictions: list[dict[str, object]] = field(default_factory=list)
    generations: list[dict[str, object]] = field(default_factory=list)


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

    Items are drawn with their weight, so the interval of a share of all bars respects that bars
    come in tunes. Cost: `NUM_RESAMPLES` times the number of items, in time; little memory.

    Args:
        values: one number per item; at least one item.
        seed: of the resampling; equal seeds give equal intervals.
        weights: what each item counts in the denominator; None is 1 each, for a mean.
    """
    numerators = np.asarray(values, dtype=np.float64)
    denominators = np.ones_like(numerators) if weights is None else np.asarray(weights, np.float64)
    assert len(numerators) == len(denominators) > 0, "bootstrap needs items, one weight each"
    generator = np.random.default_rng(seed)
    ratios = []
    for _ in range(NUM_RESAMPLES):
        drawn = generator.integers(0, len(numerators), len(numerators))
        total = denominators[drawn].sum()
        if total > 0:
            ratios.append(numerators[drawn].sum() / total)
    low, high = np.percentile(ratios, [2.5, 97.5]) if ratios else (0.0, 0.0)
    return float(low), float(high)


def write_results(folder: Path, models: Mapping[str, Mapping[str, Metrics]]) -> None:
    """Write `results.json`: metrics by benchmark by role of the model."""
    artifacts.write_json(folder / "results.json", {"models": models})


def write_rows(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object a line; NaN and infinities are refused, since JSON has none."""
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    artifacts.write_text(path, "".join(lines))
