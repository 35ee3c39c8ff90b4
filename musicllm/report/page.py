"""What the page shows, and the page itself.

Everything that a model, a tune book or a setting says is escaped by the template; the only markup
let through is the loss curves', which `figures` draws here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from musicllm.report.scores import ScoreCard
from musicllm.report.tables import Table


@dataclass(frozen=True)
class Tile:
    """One figure that the page opens with."""

    value: str
    meaning: str


@dataclass(frozen=True)
class Curve:
    """How one training run learned; `picture` is an SVG element drawn by `figures`, or None."""

    recipe: str
    picture: Markup | None
    words: str


@dataclass(frozen=True)
class Settings:
    """The settings of one run: text of config.yaml or None, and what it was made with."""

    name: str
    config: str | None
    made_with: str


@dataclass(frozen=True)
class Command:
    """A command that continues from here, and what it is for."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Report:
    """Everything on the page; what is empty is said to be missing."""

    title: str
    summary: str
    tiles: Sequence[Tile]
    scores: Sequence[ScoreCard]
    scores_note: str
    evaluation: Sequence[Table]
    curves: Sequence[Curve]
    plan: Table | None
    corpora: Sequence[Table]
    times: Table | None
    settings: Sequence[Settings]
    commands: Sequence[Command]
    colophon: str


def render(report: Report) -> str:
    """Return the page as HTML that needs no network, no script and no other file."""
    return fill("page.html.jinja", report)


def fill(template: str, report: object) -> str:
    """Return a template of this package, filled with what a page shows; all text is escaped."""
    environment = Environment(
        loader=PackageLoader("musicllm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(report=report)
