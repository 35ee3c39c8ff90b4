"""Settings of the runs beside their last metrics, one line for each run (parallel coordinates)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from musicllm.report.dashboard.panels import PANELS, Filling, PagePanel, PanelKind
from musicllm.report.dashboard.watched import WatchedRun, differing
from musicllm.schema import PanelConfig

MOST_AXES = 12
"""Runs that differ in more settings are no sweep, and such a plot shows nothing."""


class ParallelKind(PanelKind):
    """An axis for each setting, then one for each metric."""

    name = "parallel"
    takes_settings = True

    def fill(self, panel: PanelConfig, runs: Sequence[WatchedRun]) -> Filling:
        """Return the metrics, and the settings that are named or in which the runs differ."""
        filling = super().fill(panel, runs)
        measured = [run for run in runs if run.matching(panel.metrics)]
        differences = differing(measured)
        named = [name for name in panel.settings if any(name in run.settings for run in measured)]
        settings = named if panel.settings else differences
        missing = filling.missing
        if not missing and not settings:
            missing = "the runs differ in no setting" if len(measured) > 1 else "there is one run"
        elif not missing and len(settings) > MOST_AXES:
            missing = (
                f"the runs differ in {len(settings)} settings, so they are no sweep, and "
                f"`settings` of the panel names none"
            )
        return Filling(filling.names, settings, missing)

    def in_wandb(self, panel: PanelConfig, filling: Filling) -> list[Any]:
        """Return one plot."""
        import wandb_workspaces.reports.v2 as wr

        axes = [wr.Config(name) for name in filling.settings]
        values = [wr.SummaryMetric(name) for name in filling.names]
        log = panel.log_scale or None
        columns = [
            *(wr.ParallelCoordinatesPlotColumn(axis, display_name=axis.name) for axis in axes),
            *(wr.ParallelCoordinatesPlotColumn(v, display_name=v.name, log=log) for v in values),
        ]
        return [wr.ParallelCoordinatesPlot(title=panel.title, columns=columns)]

    def on_page(
        self, panel: PanelConfig, filling: Filling, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        """Return one figure: a line for each run that measured a metric."""
        from musicllm.report.dashboard.figures import parallel_figure

        measured = [run for run in runs if run.matching(panel.metrics)]
        axes = {name: [run.settings.get(name) for run in measured] for name in filling.settings}
        axes |= {
            name: [run.curve(name)[-1][1] if name in run.names else None for run in measured]
            for name in filling.names
        }
        picture = parallel_figure(axes, panel.title, panel.title, log_scale=panel.log_scale)
        return PagePanel(picture, note=f"The last values of {len(measured)} runs.")


PARALLEL = PANELS.register(ParallelKind())
