"""The content of the report page, and rendering of templates.

Text from models, tune books and settings is escaped by the template; the only markup
that is not are the loss curves drawn by `figures`.
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
    """A key figure at the top of the page."""

    value: str
    meaning: str


@dataclass(frozen=True)
class Curve:
    """The loss curves of a training run; `picture` is an SVG element from `figures`, or None."""

    recipe: str
    picture: Markup | None
    words: str


@dataclass(frozen=True)
class Settings:
    """The settings of a run: text of config.yaml or None, and versions."""

    name: str
    config: str | None
    made_with: str


@dataclass(frozen=True)
class NextCommand:
    """A suggested command and its purpose."""

    purpose: str
    line: str


@dataclass(frozen=True)
class Report:
    """The content of the page; empty parts are described as missing."""

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
    commands: Sequence[NextCommand]
    colophon: str


def render(report: Report) -> str:
    """Render the page as self-contained HTML without scripts."""
    return fill("page.html.jinja", report)


def fill(template: str, report: object) -> str:
    """Render a template of this package with escaping."""
    environment = Environment(
        loader=PackageLoader("musicllm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(report=report)
