"""The figure of a sweep: the metric over each swept setting, and the loss curves of its jobs.

Colours come from matplotlib's current settings, so that one function serves light and dark
pages as well as PNG files.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from musicllm.report.figures import GRID, STYLE, LossCurve, inline

MAX_NAMED = 10
"""Maximum number of jobs in the legend; more differ by colour only."""

LOG_SPAN = 10
"""Ratio of the largest to the smallest value from which the axis is logarithmic."""


@dataclass(frozen=True)
class SweptJob:
    """A job in the figure.

    Attributes:
        title: swept settings as text.
        values: of the swept settings, by key.
        metric: value to compare, or None if the job failed.
        train: training loss; may be empty.
        validation: validation loss; may be empty.
    """

    title: str
    values: Mapping[str, str]
    metric: float | None
    train: LossCurve
    validation: LossCurve


def sweep_svg(jobs: Sequence[SweptJob], metric: str) -> Markup:
    """Return the figure as an `<svg>` element for a page."""
    with matplotlib.rc_context({**STYLE, "grid.color": GRID, "svg.hashsalt": metric}):
        return Markup(inline(_draw(jobs, metric), f"{metric} of the jobs of a sweep"))


def sweep_png(jobs: Sequence[SweptJob], metric: str, path: Path) -> None:
    """Write the figure as a PNG file."""
    plain: dict[Any, Any] = {
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#dddddd",
    }
    with matplotlib.rc_context(plain):
        _draw(jobs, metric).savefig(path, dpi=150)


def _draw(jobs: Sequence[SweptJob], metric: str) -> Figure:
    """Draw a panel for each swept setting and, if jobs trained, one for the loss curves."""
    keys = list(dict.fromkeys(key for job in jobs for key in job.values))
    trained = [job for job in jobs if job.train or job.validation]
    num_panels = max(1, len(keys) + bool(trained))
    figure = Figure(figsize=(7.5, 3.2 * num_panels), layout="constrained")
    panels = figure.subplots(num_panels, 1, squeeze=False)[:, 0]
    for axes, key in zip(panels, keys, strict=False):
        axes.grid(axis="y", linewidth=0.8)
        _setting(axes, key, jobs, metric)
    if trained:
        panels[-1].grid(axis="y", linewidth=0.8)
        _curves(panels[-1], trained)
    return figure


def _setting(axes: Any, key: str, jobs: Sequence[SweptJob], metric: str) -> None:
    """Plot a point per job and a line through the mean of each value."""
    by_value: dict[str, list[float]] = {}
    for job in jobs:
        if job.metric is not None and key in job.values:
            by_value.setdefault(job.values[key], []).append(job.metric)
    places = _places(axes, list(by_value))
    points = [
        (places[value], metric_) for value, metrics in by_value.items() for metric_ in metrics
    ]
    means = sorted(
        (places[value], statistics.fmean(metrics)) for value, metrics in by_value.items()
    )
    ink = matplotlib.rcParams["text.color"]
    if means:
        axes.plot(*zip(*means, strict=True), color=ink, linewidth=1, alpha=0.6)
        axes.scatter(*zip(*points, strict=True), color=_colour(0.3))
    axes.set_xlabel(key)
    axes.set_ylabel(metric)


def _places(axes: Any, values: Sequence[str]) -> dict[str, float]:
    """Return the positions of values on the axis: numbers by value, words one after the other."""
    try:
        numbers = {value: float(value) for value in values}
    except ValueError:
        axes.set_xticks(range(len(values)), values)
        return {value: float(place) for place, value in enumerate(values)}
    low, high = min(numbers.values(), default=0), max(numbers.values(), default=0)
    if low > 0 and high >= LOG_SPAN * low:
        axes.set_xscale("log")
    elif len(values) <= MAX_NAMED:
        axes.set_xticks(sorted(numbers.values()), sorted(values, key=float))
    return numbers


def _curves(axes: Any, jobs: Sequence[SweptJob]) -> None:
    """Plot the loss of every job: training loss thin, validation loss with marks."""
    for place, job in enumerate(jobs):
        colour = _colour(place / max(1, len(jobs) - 1))
        if job.train:
            name = None if job.validation else job.title
            axes.plot(
                *zip(*job.train, strict=True), color=colour, linewidth=0.8, alpha=0.5, label=name
            )
        if job.validation:
            axes.plot(
                *zip(*job.validation, strict=True), color=colour, marker="o", markersize=3,
                label=job.title,
            )  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss (nats per token)")
    if len(jobs) <= MAX_NAMED:
        axes.legend(frameon=False, fontsize="small")


def _colour(place: float) -> Any:
    """Return a colour with enough contrast on light and dark pages."""
    return matplotlib.colormaps["turbo"](0.1 + 0.8 * place)
