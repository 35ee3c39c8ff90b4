"""The pictures of a comparison: along the order of models, by subject, by category, calibration.

Colours come from matplotlib's settings of the moment, so that one drawing serves a page that is
light or dark as well as a file of its own. Draws numbers that it is given.
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
"""Of models, told from their ground on a light page and on a dark one."""

MARKERS = "os^Dv<>pPX*"
"""Of models, which are told apart by shape as well as by colour."""


@dataclass(frozen=True)
class Point:
    """A value with its interval; None where it was not measured."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        name: of its file, and of its place on a page.
        title: what it shows, in words.
        draw: makes it, with matplotlib's settings of the moment.
    """

    name: str
    title: str
    draw: Callable[[], Figure]

    def svg(self) -> Markup:
        """Return it as an `<svg>` element for a page."""
        with matplotlib.rc_context({**STYLE, "grid.color": GRID, "svg.hashsalt": self.name}):
            return Markup(inline(self.draw(), self.title))

    def write_png(self, path: Path) -> None:
        """Write it as a file."""
        with matplotlib.rc_context(PLAIN):
            self.draw().savefig(path, dpi=120)


def along(
    labels: Sequence[str], metric: str, points: Sequence[Point], chance: float | None
) -> Figure:
    """Draw one metric along the order of models, with intervals.

    Args:
        labels: of the models, in order.
        metric: what is measured.
        points: one per model.
        chance: what guessing reaches, as a dashed line, or None.
    """
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y", linewidth=0.8)
    known = _known(points)
    ink = matplotlib.rcParams["text.color"]
    axes.plot(
        [one.place for one in known],
        [one.value for one in known],
        color=ink,
        linewidth=1,
        alpha=0.6,
    )
    for one in known:
        colour, marker = _look(one.place)
        axes.plot([one.place], [one.value], marker=marker, color=colour, linestyle="none")
        if one.bounds:
            axes.vlines(one.place, *one.bounds, color=colour, linewidth=1)
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
    """Draw a line per subject or category with a mark for every model.

    Args:
        labels: of the models.
        metric: what is measured.
        parts: a point per model, by the part's name; from the top down.
        chance: what guessing reaches, as a dashed line, or None.
    """
    figure = Figure(figsize=(7.5, 1.6 + 0.26 * len(parts)), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="x", linewidth=0.8)
    for place, label in enumerate(labels):
        offset = 0.6 * place / (len(labels) - 1) - 0.3 if len(labels) > 1 else 0.0
        known = _known([some[place] for some in parts.values()])
        colour, marker = _look(place)
        axes.plot(
            [one.value for one in known],
            [one.place + offset for one in known],
            linestyle="none",
            markersize=5,
            label=label,
            marker=marker,
            color=colour,
        )
        spans = [(one.place + offset, *one.bounds) for one in known if one.bounds]
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
    """Draw accuracy over confidence; the diagonal is a model that knows what it knows.

    Args:
        bins: by model; larger marks hold more questions.
    """
    figure = Figure(figsize=(7.5, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.grid(linewidth=0.8)
    ink = matplotlib.rcParams["text.color"]
    axes.plot([0, 1], [0, 1], color=ink, linewidth=1, linestyle="--", label="as sure as right")
    for place, (label, some) in enumerate(bins.items()):
        total = sum(one.num_questions for one in some)
        colour, marker = _look(place)
        x, y = [one.confidence for one in some], [one.accuracy for one in some]
        sizes = [12 + 200 * one.num_questions / total for one in some]
        axes.plot(x, y, color=colour, linewidth=1, alpha=0.6)
        axes.scatter(x, y, s=sizes, color=colour, alpha=0.8, marker=marker)
        axes.plot([], [], color=colour, marker=marker, label=label)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("confidence: probability of the chosen letter")
    axes.set_ylabel("accuracy")
    figure.legend(frameon=False, loc="outside upper left", fontsize="small", ncols=3)
    return figure


class _Known(NamedTuple):
    """A point that has a value, its place in the order, and its interval if it has one."""

    place: int
    value: float
    bounds: tuple[float, float] | None


def _known(points: Sequence[Point]) -> list[_Known]:
    found = []
    for place, point in enumerate(points):
        if point.value is not None:
            low, high = point.low, point.high
            bounds = None if low is None or high is None else (low, high)
            found.append(_Known(place, point.value, bounds))
    return found


def _look(place: int) -> tuple[str, str]:
    """Return colour and marker of a model."""
    return COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
