"""Kinds of panel, one module for each; a user adds one with `extensions`.

A kind says which values of runs it shows, builds the panel of wandb, and draws it on a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.errors import Problem
from musicllm.registry import Registry
from musicllm.report.bars import BarChart
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.report.tables import Table
from musicllm.schema import PanelConfig

if TYPE_CHECKING:
    from markupsafe import Markup


@dataclass(frozen=True)
class Filling:
    """What a panel shows of runs.

    Attributes:
        names: of the metrics that have values, in order.
        settings: full names of the settings beside them.
        missing: why there is nothing to show; empty if there is something.
    """

    names: Sequence[str] = ()
    settings: Sequence[str] = ()
    missing: str = ""


@dataclass(frozen=True)
class PageTune:
    """A tune on a page.

    Attributes:
        heading: run, step and number.
        prompt: of the model.
        text: what it wrote.
        picture: data: URI of the score, or None.
        sound: data: URI; empty where the page leaves it out; None if there is none.
    """

    heading: str
    prompt: str
    text: str
    picture: str | None
    sound: str | None


@dataclass(frozen=True)
class PagePanel:
    """A panel on a page.

    Attributes:
        picture: an SVG element, or None.
        tables: below it.
        charts: bars.
        tunes: with scores and sounds.
        note: what a reader has to know.
    """

    picture: Markup | None = None
    tables: Sequence[Table] = ()
    charts: Sequence[BarChart] = ()
    tunes: Sequence[PageTune] = ()
    note: str = ""


class PanelKind:
    """A kind of panel.

    Attributes:
        name: value of `dashboard.sections.<name>.panels.<name>.kind`.
        takes_settings: `settings` has an effect.
    """

    name: ClassVar[str]
    takes_settings: ClassVar[bool] = False

    def problems(self, key: str, panel: PanelConfig) -> Iterator[Problem]:
        """Yield settings that are wrong or have no effect on this kind.

        Args:
            key: of the panel, such as `dashboard.sections.losses.panels.train`.
            panel: its settings.
        """
        if not panel.metrics:
            yield Problem(f"{key}.metrics", "[]", "names no metric")
        if panel.settings and not self.takes_settings:
            rule = f"has no effect on a panel of kind {self.name}"
            yield Problem(f"{key}.settings", panel.settings, rule, "write []")

    def fill(self, panel: PanelConfig, runs: Sequence[WatchedRun]) -> Filling:
        """Return what the panel shows of runs."""
        names = dict.fromkeys(name for run in runs for name in run.matching(panel.metrics))
        missing = "" if names else f"no run has {' or '.join(panel.metrics)}"
        return Filling(list(names), missing=missing)

    def in_wandb(self, panel: PanelConfig, filling: Filling) -> list[Any]:
        """Return the panel as those of `wandb_workspaces.reports.v2`.

        Args:
            panel: its settings.
            filling: of `fill`, which is not missing.
        """
        raise NotImplementedError

    def on_page(
        self, panel: PanelConfig, filling: Filling, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        """Return the panel as part of a page.

        Args:
            panel: its settings.
            filling: of `fill`, which is not missing.
            runs: of `fill`.
        """
        raise NotImplementedError


PANELS: Registry[PanelKind] = Registry("panel", __name__)
