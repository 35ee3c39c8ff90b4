"""Figures of panels: lines over the steps, and parallel coordinates, as inline SVG.

Long curves are thinned, but keep the lowest and the highest value of every stretch; nothing is
smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from musicllm.report.compare_figures import COLOURS
from musicllm.report.figures import GRID, STYLE, TRAIN, VALIDATION, inline

MAX_POINTS = 1000
"""Of a line; more are thinned."""
MAX_NAMED = 10
"""Lines in a legend; more differ by colour only."""
WIDTH, HEIGHT, LEGEND_LINE = 5.4, 2.7, 0.21
"""Inches of a figure without a legend, and of each line of one."""


@dataclass(frozen=True)
class Line:
    """A metric of a run: points (step, value)."""

    label: str
    points: Sequence[tuple[int, float]]


def line_figure(lines: Sequence[Line], title: str, name: str, *, log_scale: bool) -> Markup:
    """Draw lines over the optimizer steps.

    Args:
        lines: at least one; values that are not finite, or not positive on a logarithmic axis, are
            left out.
        title: of the panel; describes the picture to a screen reader.
        name: unlike that of any other figure on the page.
        log_scale: logarithmic axis of the values.
    """
    with matplotlib.rc_context({**STYLE, "grid.color": GRID, "svg.hashsalt": name}):
        named = len(lines) if len(lines) <= MAX_NAMED else 0
        figure = Figure(figsize=(WIDTH, HEIGHT + LEGEND_LINE * named), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y", linewidth=0.8)
        if log_scale:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        for number, line in enumerate(lines):
            points = [point for point in line.points if _is_drawn(point[1], log_scale)]
            if points:
                steps, values = zip(*thinned(points), strict=True)
                style: dict[str, Any] = (
                    {"marker": "o", "markersize": 4} if len(points) <= 30 else {}
                )
                axes.plot(steps, values, label=line.label, color=_colour(number, len(lines)),
                          linewidth=1.6, **style)  # fmt: skip
        axes.set_xlabel("optimizer step")
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        if axes.lines and named:
            figure.legend(frameon=False, loc="outside upper left", ncols=1, fontsize="small")
        return Markup(inline(figure, f"{title} over the optimizer steps"))


def _is_drawn(value: float, log_scale: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log_scale)


def thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most about MAX_POINTS points: first and last, lowest and highest of stretches."""
    if len(points) <= MAX_POINTS:
        return list(points)
    size = math.ceil(2 * len(points) / MAX_POINTS)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        stretch = range(start, min(start + size, len(points)))
        kept |= {min(stretch, key=lambda i: points[i][1]), max(stretch, key=lambda i: points[i][1])}
    return [points[index] for index in sorted(kept)]


def _colour(number: int, num_lines: int) -> str:
    """Return a colour with enough contrast on light and dark pages."""
    if num_lines <= 2:
        return (VALIDATION, TRAIN)[number] if num_lines == 1 else (TRAIN, VALIDATION)[number]
    return COLOURS[number % len(COLOURS)]


def parallel_figure(
    axes_of: Mapping[str, Sequence[Any]], title: str, name: str, *, log_scale: bool
) -> Markup:
    """Draw an axis for each setting and metric, and a line for each run.

    Args:
        axes_of: values of all runs by the name of an axis; numbers by size, others in order of
            appearance, None as a gap. The last axis is a metric, which colours the lines.
        title: of the panel.
        name: unlike that of any other figure on the page.
        log_scale: the metric's order decides its colour in any case; its axis is logarithmic.
    """
    columns = [
        _placed(values, log_scale=log_scale and number == len(axes_of) - 1)
        for number, values in enumerate(axes_of.values())
    ]
    places = [places for places, _ in columns]
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(7.5, 3.6), layout="constrained")
        axes = figure.subplots()
        for run in range(len(places[0])):
            heights = [column[run] for column in places]
            end = heights[-1]
            colour = matplotlib.colormaps["turbo"](0.1 + 0.8 * (0.5 if math.isnan(end) else end))
            axes.plot(range(len(heights)), heights, color=colour, linewidth=1.6, marker="o",
                      markersize=4)  # fmt: skip
        for number, (_, ends) in enumerate(columns):
            axes.axvline(number, color=GRID, linewidth=1, zorder=0)
            for height, text in ends:
                axes.text(number, height, f" {text}", fontsize="small", va="center")
        axes.set_xticks(range(len(axes_of)), list(axes_of), rotation=20, ha="right")
        axes.set_yticks([])
        axes.margins(x=0.12)
        return Markup(inline(figure, title))


def _placed(
    values: Sequence[Any], *, log_scale: bool
) -> tuple[list[float], list[tuple[float, str]]]:
    """Return heights from 0 to 1, NaN for gaps, and the labels of the axis with theirs."""
    present = [value for value in values if value is not None]
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in present):
        scale = math.log if log_scale and all(v > 0 for v in present) else float
        low, high = min(map(scale, present)), max(map(scale, present))
        width = high - low or 1.0
        heights = [math.nan if v is None else (scale(v) - low) / width for v in values]
        ends = [(0.0, f"{min(present):.4g}"), (1.0, f"{max(present):.4g}")]
        return heights, ends[: 1 if low == high else 2]
    order = list(dict.fromkeys(map(str, present)))
    step = 1 / max(1, len(order) - 1)
    height = {text: number * step for number, text in enumerate(order)}
    heights = [math.nan if v is None else height[str(v)] for v in values]
    return heights, [(h, text) for text, h in height.items()]
