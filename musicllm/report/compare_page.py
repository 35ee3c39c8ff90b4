"""One self-contained page that sets models side by side: tables, tests, pictures.

Nothing is read or measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from musicllm.report.page import Command, Tile, fill
from musicllm.report.tables import Table


@dataclass(frozen=True)
class Drawn:
    """A picture on the page; `picture` is an SVG element drawn by `compare_figures`."""

    title: str
    picture: Markup


@dataclass(frozen=True)
class BenchmarkPart:
    """What the page shows of one benchmark; `subset` says in words whose answers are not all."""

    name: str
    subset: str
    pictures: Sequence[Drawn]
    tables: Sequence[Table]
    details: Sequence[Table]


@dataclass(frozen=True)
class ComparePage:
    """Everything on the page; what is empty or None is said to be missing or left out."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    notes: Sequence[str]
    overview: Table
    significance: Table | None
    benchmarks: Sequence[BenchmarkPart]
    compared: Table
    commands: Sequence[Command]
    colophon: str = ""


def render_comparison(page: ComparePage) -> str:
    """Return the page as HTML that needs no network, no script and no other file."""
    return fill("compare.html.jinja", page)
