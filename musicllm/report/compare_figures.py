"""Figures of a comparison: metric by model, by subject, by category, and calibration.

Colours come from matplotlib's current settings, so that one function serves light and dark
pages as well as PNG files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from musicllm.evals.choices import Bin
from musicllm.report.figures import GRID, STYLE, inline

PLAIN: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
}
COLOURS = (
    "#3f74b8", "#c8553d", "#3a9a6c", "#9c64ad", "#b98a22", "#3f9fb5", "#c0608f", "#7f8a3c",
)  # fmt: skip
"""Colours of models, with enough contrast on light and dark pages."""

MARKERS = "os^Dv<>pPX*"
"""Markers of models, which differ in shape as well as in colour."""


@dataclass(frozen=True)
class Point:
    """A value and its confidence interval; None if not measured."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        name: stem of its file, and its anchor on the page.
        title: of the figure.
        draw: draws it with matplotlib's current settings.
    """

    name: str
    title: str
    draw: Callable[[], Figure]

    def svg(self) -> Markup:
        """Return the figure as an `<svg>` element for a page."""
        with matplotlib.rc_context({**STYLE, "grid.color": GRID, "svg.hashsalt": self.name}):
            return Markup(inline(self.draw(), self.title))

    def write_png(self, path: Path) -> None:
        """Write the figure as a PNG file."""
        with matplotlib.rc_context(PLAIN):
            self.draw().savefig(path, dpi=120)


def by_model(
    labels: Sequence[str], metric: str, points: Sequence[Point], chance: float | None
) -> Figure:
    """Plot a metric over the models in their order, with intervals.

    Args:
        labels: of the models, in order.
        metric: name of the metric.
        points: one per model.
        chance: value of random guessing, drawn as a dashed line, or None.
    """
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y", linewidth=0.8)
    measured = _measured(points)
    ink = matplotlib.rcParams["text.color"]
    axes.plot(
        [point.place for point in measured],
        [point.value for point in measured],
        color=ink,
        linewidth=1,
        alpha=0.6,
    )
    for point in measured:
        colour, marker = _look(point.place)
        axes.plot([point.place], [point.value], marker=marker, color=colour, linestyle="none")
        if point.bounds:
            axes.vlines(point.place, *point.bounds, color=colour, linewidth=1)
    if chance is not None:
        axes.axhline(chance, color=ink, linewidth=1, linestyle="--", label="guessing")
        axes.legend(frameon=False)
    axes.set_xticks(range(len(labels)), [label.replace(" (", "\n(") for label in labels])
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylabel(metric)
    return figure


def by_part(
    labels: Sequence[str], metric: str, parts: Mapping[str, Sequence[Point]], chance: float | None
) -> Figure:
    """Plot a metric per subject or category, with a mark for each model.

    Args:
        labels: of the models.
        metric: name of the metric.
        parts: points of the models by subject or category, from top to bottom.
        chance: value of random guessing, drawn as a dashed line, or None.
    """
    figure = Figure(figsize=(7.5, 1.6 + 0.26 * len(parts)), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x", linewidth=0.8)
    for place, label in enumerate(labels):
        offset = 0.6 * place / (len(labels) - 1) - 0.3 if len(labels) > 1 else 0.0
        measured = _measured([points[place] for points in parts.values()])
        colour, marker = _look(place)
        axes.plot(
            [point.value for point in measured],
            [point.place + offset for point in measured],
            linestyle="none",
            markersize=5,
            label=label,
            marker=marker,
            color=colour,
        )
        spans = [(point.place + offset, *point.bounds) for point in measured if point.bounds]
        if spans:
            axes.hlines(*zip(*spans, strict=True), color=colour, linewidth=1)
    if chance is not None:
        axes.axvline(chance, color=matplotlib.rcParams["text.color"], linewidth=1, linestyle="--")
    axes.set_yticks(range(len(parts)), list(parts))
    axes.set_ylim(len(parts) - 0.4, -0.6)
    axes.set_xlabel(metric)
    figure.legend(frameon=False, loc="outside upper left", fontsize="small", ncols=3)
    return figure


def calibration(bins: Mapping[str, Sequence[Bin]]) -> Figure:
    """Plot accuracy over confidence; a calibrated model is on the diagonal.

    Args:
        bins: by model; the size of a mark is the number of questions.
    """
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.grid(linewidth=0.8)
    ink = matplotlib.rcParams["text.color"]
    axes.plot([0, 1], [0, 1], color=ink, linewidth=1, linestyle="--", label="as sure as right")
    for place, (label, model_bins) in enumerate(bins.items()):
        total = sum(bin_.num_questions for bin_ in model_bins)
        colour, marker = _look(place)
        x, y = [bin_.confidence for bin_ in model_bins], [bin_.accuracy for bin_ in model_bins]
        sizes = [12 + 200 * bin_.num_questions / total for bin_ in model_bins]
        axes.plot(x, y, color=colour, linewidth=1, alpha=0.6)
        axes.scatter(x, y, s=sizes, color=colour, alpha=0.8, marker=marker)
        axes.plot([], [], color=colour, marker=marker, label=label)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("confidence: probability of the chosen letter")
    axes.set_ylabel("accuracy")
    figure.legend(frameon=False, loc="outside upper left", fontsize="small", ncols=3)
    return figure


class _Measured(NamedTuple):
    """The value of a point, its place in the order, and its interval if it has one."""

    place: int
    value: float
    bounds: tuple[float, float] | None


def _measured(points: Sequence[Point]) -> list[_Measured]:
    measured = []
    for place, point in enumerate(points):
        if point.value is not None:
            low, high = point.low, point.high
            bounds = None if low is None or high is None else (low, high)
            measured.append(_Measured(place, point.value, bounds))
    return measured


def _look(place: int) -> tuple[str, str]:
    """Return the colour and marker of a model."""
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
