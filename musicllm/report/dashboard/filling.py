"""Which panels of a dashboard have values of runs, so that no panel is empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from musicllm.report.dashboard.panels import PANELS, Filling
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.schema import DashboardConfig, PanelConfig


@dataclass(frozen=True)
class FilledPanel:
    """A panel that has something to show; `key` is its name in the section."""

    key: str
    panel: PanelConfig
    filling: Filling


@dataclass(frozen=True)
class FilledSection:
    """A section with at least one panel that has something to show."""

    key: str
    title: str
    is_open: bool
    panels: Sequence[FilledPanel]


@dataclass(frozen=True)
class FilledDashboard:
    """The panels that have something to show.

    Attributes:
        title: of the dashboard.
        sections: in order.
        left_out: reason by `<section>.<panel>` of every panel that has nothing to show.
    """

    title: str
    sections: Sequence[FilledSection]
    left_out: Mapping[str, str]


def fill(dashboard: DashboardConfig, runs: Sequence[WatchedRun]) -> FilledDashboard:
    """Return what a dashboard shows of runs."""
    fillings = {
        (name, key): PANELS[panel.kind].fill(panel, runs)
        for name, section in dashboard.sections.items()
        for key, panel in section.panels.items()
    }

    def filled(name: str, panels: Mapping[str, PanelConfig]) -> Iterator[FilledPanel]:
        for key, panel in panels.items():
            if not fillings[name, key].missing:
                yield FilledPanel(key, panel, fillings[name, key])

    sections = [
        FilledSection(name, section.title, section.is_open, list(filled(name, section.panels)))
        for name, section in dashboard.sections.items()
    ]
    left_out = {f"{name}.{key}": f.missing for (name, key), f in fillings.items() if f.missing}
    return FilledDashboard(
        dashboard.title, [section for section in sections if section.panels], left_out
    )
