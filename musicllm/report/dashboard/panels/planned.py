"""What the plan of a run expected of a metric, beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from musicllm.report.dashboard.panels import PANELS, Filling, PagePanel, PanelKind
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.report.tables import Cell, Table, TableRow, as_text
from musicllm.schema import PanelConfig


class PlannedKind(PanelKind):
    """Of every metric the expected and the last measured value."""

    name = "planned"

    def fill(self, panel: PanelConfig, runs: Sequence[WatchedRun]) -> Filling:
        """Return the metrics that a run both expected and measured."""
        measured = super().fill(panel, runs)
        both = [
            name
            for name in measured.names
            if any(name in run.expected and name in run.names for run in runs)
        ]
        missing = "" if both else measured.missing or "no plan of a run expects it"
        return Filling(both, missing=missing)

    def in_wandb(self, panel: PanelConfig, filling: Filling) -> list[Any]:
        """Return a plot for each metric: a point for each run, at (expected, measured)."""
        import wandb_workspaces.reports.v2 as wr

        title = f"{panel.title}: plan (across) and measured (up)"
        return [
            wr.ScatterPlot(
                title=title if len(filling.names) == 1 else f"{title}, {name}",
                x=wr.Config(f"plan.expected.{name.removeprefix('perf/')}"),
                y=wr.SummaryMetric(name),
                log_x=panel.log_scale or None,
                log_y=panel.log_scale or None,
            )
            for name in filling.names
        ]

    def on_page(
        self, _panel: PanelConfig, filling: Filling, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        """Return a table: for each run and metric the plan, the last measurement, their ratio."""
        rows = []
        for run in runs:
            for name in filling.names:
                if name in run.expected and name in run.names:
                    expected, measured = run.expected[name], run.curve(name)[-1][1]
                    ratio = f"{measured / expected:.2f}" if expected else as_text(None)
                    head = run.label if len(filling.names) == 1 else f"{run.label}: {name}"
                    cells = [Cell(as_text(expected)), Cell(as_text(measured)), Cell(ratio)]
                    rows.append(TableRow(head, cells))
        return PagePanel(tables=[Table("", ["run", "plan", "measured last", "ratio"], rows)])


PLANNED = PANELS.register(PlannedKind())
