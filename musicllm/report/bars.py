"""Counts as bars: a table whose last column is drawn, so that it is read aloud as numbers.

Bars are plain HTML, since a browser scales, wraps and prints those; the page's template draws
them. Lengths and marks are shares of the column's width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from musicllm.report.tables import shown, words

TOP = 12
"""Bars that are drawn one by one; what comes less often is summed up in a last one."""


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        label: what is counted.
        value: the count in words.
        length: of the bar, 0 to 1.
        mark: where a thin line stands, 0 to 1, or None.
    """

    label: str
    value: str
    length: float
    mark: float | None = None


@dataclass(frozen=True)
class Bars:
    """A caption, its bars, and what else there is to say."""

    caption: str
    bars: tuple[Bar, ...]
    note: str = ""


def ranked(caption: str, counts: Mapping[str, int]) -> Bars | None:
    """Return the most frequent things first and all others in one bar; None without any.

    The longest bar fills the column. Equal counts keep their order.
    """
    order = sorted((item for item in counts.items() if item[1]), key=lambda item: -item[1])
    if not order:
        return None
    total = sum(count for _, count in order)
    rest = order[TOP:]
    drawn = order[:TOP]
    if rest:
        drawn.append((f"{len(rest):,} others", sum(count for _, count in rest)))
    longest = max(count for _, count in drawn)
    bars = (
        Bar(words(label) or "not named", f"{shown(count)} ({count / total:.1%})", count / longest)
        for label, count in drawn
    )
    return Bars(caption, tuple(bars))
