"""Metrics over the steps of the runs, one line for each metric and run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from musicllm.report.dashboard.panels import PANELS, Filling, PagePanel, PanelKind
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.schema import PanelConfig

STEP = "trainer/global_step"
"""Name of the optimizer step in wandb, which Lightning's logger gives it."""


class LinesKind(PanelKind):
    """Lines over the optimizer steps."""

    name = "lines"

    def in_wandb(self, panel: PanelConfig, filling: Filling) -> list[Any]:
        """Return one plot; names with `*` stay patterns, which match those of later runs, too."""
        import wandb_workspaces.reports.v2 as wr

        patterns = any("*" in name for name in panel.metrics)
        plot = wr.LinePlot(
            title=panel.title,
            x=STEP,
            y=[] if patterns else list(filling.names),
            metric_regex=_regex(panel.metrics) if patterns else None,
            log_y=panel.log_scale or None,
        )
        return [plot]

    def on_page(
        self, panel: PanelConfig, filling: Filling, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        """Return a line for each metric of each run."""
        from musicllm.report.dashboard.figures import MAX_NAMED, Line, line_figure

        drawn = [
            Line(_label(run, name, filling, runs), run.curve(name))
            for run in runs
            for name in filling.names
            if name in run.names
        ]
        key = " ".join([panel.title, *(line.label for line in drawn)])
        picture = line_figure(drawn, panel.title, key, log_scale=panel.log_scale)
        unnamed = f"{len(drawn)} lines, too many for a legend." if len(drawn) > MAX_NAMED else ""
        return PagePanel(picture, note=unnamed)


def _label(run: WatchedRun, name: str, filling: Filling, runs: Sequence[WatchedRun]) -> str:
    """Return what tells a line from the others."""
    if len(runs) == 1:
        return name
    return run.label if len(filling.names) == 1 else f"{run.label}: {name}"


def _regex(patterns: Sequence[str]) -> str:
    """Return a regular expression without what only Python understands."""
    parts = ("".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", text))
             for text in patterns)  # fmt: skip
    return f"^({'|'.join(parts)})$"


LINES = PANELS.register(LinesKind())
