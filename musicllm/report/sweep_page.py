"""One self-contained page about a sweep: its best job, all jobs side by side, their curves.

Nothing is read or measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from musicllm.report.page import Command, Tile, fill
from musicllm.report.tables import Table


@dataclass(frozen=True)
class SweepPage:
    """Everything on the page; what is empty or None is said to be missing or left out."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    jobs: Table
    picture: Markup
    failures: Table | None
    commands: Sequence[Command]
    colophon: str = ""


def render_sweep(page: SweepPage) -> str:
    """Return the page as HTML that needs no network, no script and no other file."""
    return fill("sweep.html.jinja", page)
