"""The page that compares models: tables, significance tests and figures.

Nothing is read or measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from musicllm.report.page import NextCommand, Tile, fill
from musicllm.report.tables import Table


@dataclass(frozen=True)
class PagePicture:
    """A figure on the page; `picture` is an SVG element from `compare_figures`."""

    title: str
    picture: Markup


@dataclass(frozen=True)
class BenchmarkPart:
    """The part of the page about one benchmark; `subset` lists incomplete evaluations."""

    name: str
    subset: str
    pictures: Sequence[PagePicture]
    tables: Sequence[Table]
    details: Sequence[Table]


@dataclass(frozen=True)
class ComparePage:
    """The content of the page; empty parts are left out or described as missing."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    notes: Sequence[str]
    overview: Table
    significance: Table | None
    benchmarks: Sequence[BenchmarkPart]
    compared: Table
    commands: Sequence[NextCommand]
    colophon: str = ""


def render_comparison(page: ComparePage) -> str:
    """Render the page as self-contained HTML without scripts."""
    return fill("compare.html.jinja", page)
