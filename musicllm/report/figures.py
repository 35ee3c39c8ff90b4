"""Loss curves and histograms as inline SVG whose colours follow the light or dark page.

Curves are not smoothed; no files are read.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from typing import Any

import matplotlib
from markupsafe import escape
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

LossCurve = Sequence[tuple[int, float]]
"""Points (optimizer step, loss in nats per supervised token)."""

COLOURS = {
    "#123401": "currentColor",
    "#123402": "var(--rule)",
    "#123403": "var(--train)",
    "#123404": "var(--validation)",
}
"""Placeholder colours for matplotlib, and their replacements from the page's style sheet."""
INK, GRID, TRAIN, VALIDATION = COLOURS

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: selectable, in the page's own typeface
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "axes.spines.top": False,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}

ROUND = [a * 10.0**power for power in range(7) for a in (1, 1.5, 2, 3, 5, 7)]
"""Candidate ticks of the perplexity axis."""


def loss_curves(train: LossCurve, validation: LossCurve, name: str) -> str:
    """Plot training and validation loss over the steps, with perplexity on the right.

    Points that are not finite are left out.

    Args:
        train: training loss; may be empty.
        validation: validation loss; may be empty if `train` is not.
        name: of the run; describes the picture to a screen reader and makes its ids unique.

    Returns:
        An `<svg>` element without size, script, style element or external reference.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.4, 3.3), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        _draw(axes, train, "training", TRAIN, linewidth=1.2)
        _draw(axes, validation, "validation", VALIDATION, linewidth=2, marker="o", markersize=4)
        axes.set_xlabel("optimizer step")
        axes.set_ylabel("loss (nats per token)")
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.legend(frameon=False, loc="upper right")
        _perplexity_axis(axes)
        return inline(figure, f"Loss of {name} over the optimizer steps")


def length_histogram(
    edges: Sequence[int], counts: Sequence[int], max_length: int, name: str
) -> str:
    """Plot a histogram of document lengths, with a line at the length of a row.

    Args:
        edges: of the bins in tokens, ascending, one more than bins. The axis is logarithmic,
            since bins get wider with length.
        counts: documents in each bin.
        max_length: tokens in a row.
        name: of the split; describes the picture to a screen reader and makes its ids unique.

    Returns:
        An `<svg>` element as in `loss_curves`.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.4, 3), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y", color=GRID, linewidth=0.8)
        axes.set_xscale("log")
        borders = [max(edge, 1) for edge in edges]
        axes.stairs(counts, borders, fill=True, color=TRAIN)
        label = f"a row: {max_length:,}"
        axes.axvline(max_length, color=VALIDATION, linewidth=1.5, linestyle="--", label=label)
        figure.legend(frameon=False, loc="outside upper right")
        axes.set_xlabel("tokens in a document")
        axes.set_ylabel("documents")
        axes.set_xticks(borders[:: math.ceil(len(borders) / 8)])
        axes.xaxis.set_major_formatter(_count)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(_count)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        return inline(figure, f"Documents of {name} by their number of tokens")


def _count(value: float, _: object) -> str:
    return f"{value:,.0f}"


def _draw(axes: Any, curve: LossCurve, label: str, colour: str, **style: Any) -> None:
    points = [(step, loss) for step, loss in curve if math.isfinite(loss)]
    if points:
        axes.plot(*zip(*points, strict=True), label=label, color=colour, **style)


def _perplexity_axis(axes: Any) -> None:
    """Add an axis with round perplexities, exp(loss)."""
    low, high = axes.get_ylim()
    within = [value for value in ROUND if low <= math.log(value) <= high]
    ticks = within[:: math.ceil(len(within) / 8) or 1]
    right = axes.twinx()
    right.set_ylim(low, high)
    right.set_yticks([math.log(value) for value in ticks], [f"{value:,g}" for value in ticks])
    right.set_ylabel("perplexity")


def inline(figure: Figure, description: str) -> str:
    """Return a figure as an `<svg>` element to embed in a page.

    Removed: the prologue (an element has none), the `<style>` (it would apply to the whole page),
    the size (the page sets it) and the ids of groups (two figures would share them).
    """
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r" font-family: [^;\"]*;", "", svg)
    for placeholder, colour in COLOURS.items():
        svg = svg.replace(placeholder, colour)
    view_box = re.search(r'viewBox="[^"]*"', svg)
    assert view_box is not None, "matplotlib writes a viewBox"
    opening = f'<svg {view_box[0]} role="img" aria-label="{escape(description)}">'
    return re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1)
