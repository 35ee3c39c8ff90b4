"""The page about a sweep: its best job, a table of all jobs, and their loss curves.

Nothing is read or measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from musicllm.report.page import NextCommand, Tile, fill
from musicllm.report.tables import Table


@dataclass(frozen=True)
class SweepPage:
    """The content of the page; empty parts are left out or described as missing."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    jobs: Table
    picture: Markup
    failures: Table | None
    commands: Sequence[NextCommand]
    colophon: str = ""


def render_sweep(page: SweepPage) -> str:
    """Render the page as self-contained HTML without scripts."""
    return fill("sweep.html.jinja", page)
