"""The page of watched runs: their progress, and sections of panels.

The same content as a page that stays, and as one that a browser loads again by itself while the
runs train. That one has no sounds, which loading would interrupt.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from musicllm.report.dashboard.filling import FilledDashboard, FilledPanel
from musicllm.report.dashboard.panels import PANELS, PagePanel
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.report.page import NextCommand, Tile, fill
from musicllm.report.tables import Table


@dataclass(frozen=True)
class DrawnPanel:
    """A panel with its title and content."""

    title: str
    content: PagePanel


@dataclass(frozen=True)
class DrawnSection:
    """A section; one that is not open is folded on a page that stays."""

    key: str
    title: str
    is_open: bool
    panels: Sequence[DrawnPanel]


@dataclass(frozen=True)
class WatchPage:
    """The content of the page.

    Attributes:
        title: of the page.
        summary: in one sentence.
        progress: the runs, and those that have not begun.
        faults: what could not be read of runs.
        sections: with at least one panel.
        left_out: panels without values, and why; None without such.
        commands: suggestions.
        renew_every_s: seconds after which a browser loads the page again; None for never.
        other_page: file name of the page that stays, on one that is renewed; or empty.
        as_of: when the runs were read.
        renewal: when the page is renewed next; empty for never.
        tiles: none, since every run has its own figures.
        colophon: when the page was written.
    """

    title: str
    summary: str
    progress: Table
    faults: Sequence[str]
    sections: Sequence[DrawnSection]
    left_out: Table | None
    commands: Sequence[NextCommand] = ()
    renew_every_s: int | None = None
    other_page: str = ""
    as_of: str = ""
    renewal: str = ""
    tiles: Sequence[Tile] = ()
    colophon: str = ""


class Drawing:
    """Draws panels; one whose runs have no new lines is not drawn again."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[str, str], tuple[object, PagePanel]] = {}

    def sections(self, filled: FilledDashboard, runs: Sequence[WatchedRun]) -> list[DrawnSection]:
        """Return the sections of a dashboard with their content."""
        content = [(run.label, len(run.lines), run.lines[-1], run.tune_steps) for run in runs]
        return [
            DrawnSection(
                section.key,
                section.title,
                section.is_open,
                [
                    DrawnPanel(panel.panel.title, self._panel(section.key, panel, content, runs))
                    for panel in section.panels
                ],
            )
            for section in filled.sections
        ]

    def _panel(
        self, section: str, panel: FilledPanel, content: object, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        before, drawn = self._drawn.get((section, panel.key), (None, PagePanel()))
        if before != content:
            drawn = PANELS[panel.panel.kind].on_page(panel.panel, panel.filling, runs)
            self._drawn[section, panel.key] = (content, drawn)
        return drawn


def left_out_table(left_out: Mapping[str, str]) -> Table | None:
    """Return the panels without values; None if there are none."""
    from musicllm.report.tables import Cell, TableRow

    rows = [TableRow(name, [Cell(why)]) for name, why in left_out.items()]
    return Table("", ["panel", "why"], rows, is_text=True) if rows else None


def live(page: WatchPage, every_s: int | None, other_page: str) -> WatchPage:
    """Return the page that a browser loads again, without sounds and with everything open."""

    def silent(panel: DrawnPanel) -> DrawnPanel:
        tunes = [
            tune if tune.sound is None else dataclasses.replace(tune, sound="")
            for tune in panel.content.tunes
        ]
        return DrawnPanel(panel.title, dataclasses.replace(panel.content, tunes=tunes))

    sections = [
        dataclasses.replace(part, is_open=True, panels=[silent(panel) for panel in part.panels])
        for part in page.sections
    ]
    return dataclasses.replace(
        page, sections=sections, renew_every_s=every_s, other_page=other_page
    )


def render_watch(page: WatchPage) -> str:
    """Render the page as self-contained HTML without scripts."""
    return fill("watch.html.jinja", page)
