"""Bar charts of counts, as tables whose last column is drawn, so that screen readers read numbers.

Bars are plain HTML, which browsers scale, wrap and print; the template of the page draws
them. Lengths and marks are fractions of the column width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from musicllm.report.tables import as_text, words

TOP = 12
"""Maximum number of single bars; less frequent values are summed up in one more."""


@dataclass(frozen=True)
class ChartBar:
    """One bar of a chart.

    Attributes:
        label: what is counted.
        value: the count, formatted.
        length: of the bar, 0 to 1.
        mark: position of a thin line, 0 to 1, or None.
    """

    label: str
    value: str
    length: float
    mark: float | None = None


@dataclass(frozen=True)
class BarChart:
    """A caption, bars, and a note."""

    caption: str
    bars: tuple[ChartBar, ...]
    note: str = ""


def ranked(caption: str, counts: Mapping[str, int]) -> BarChart | None:
    """Return a chart of the most frequent values first and all others in one bar; None if empty.

    The longest bar fills the column. Equal counts keep their order.
    """
    order = sorted((item for item in counts.items() if item[1]), key=lambda item: -item[1])
    if not order:
        return None
    total = sum(count for _, count in order)
    rest = order[TOP:]
    top = order[:TOP]
    if rest:
        top.append((f"{len(rest):,} others", sum(count for _, count in rest)))
    longest = max(count for _, count in top)
    bars = (
        ChartBar(
            words(label) or "not named", f"{as_text(count)} ({count / total:.1%})", count / longest
        )
        for label, count in top
    )
    return BarChart(caption, tuple(bars))
