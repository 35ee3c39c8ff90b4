"""How far each setting that differs between the runs explains a metric."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from musicllm.report.bars import BarChart, ChartBar
from musicllm.report.dashboard.panels import PANELS, Filling, PagePanel, PanelKind
from musicllm.report.dashboard.watched import WatchedRun, differing
from musicllm.schema import PanelConfig

FEWEST_RUNS = 3
"""Two runs would explain everything by anything."""
NOTE = (
    "Each setting by itself: the squared rank correlation of numbers, epsilon squared of others. "
    "Few runs explain much by chance."
)


class ImportanceKind(PanelKind):
    """Importance of settings for the last value of a metric."""

    name = "importance"

    def fill(self, panel: PanelConfig, runs: Sequence[WatchedRun]) -> Filling:
        """Return the metrics, and the settings in which the runs differ."""
        filling = super().fill(panel, runs)
        measured = [run for run in runs if run.matching(panel.metrics)]
        settings = differing(measured)
        missing = filling.missing
        if not missing and len(measured) < FEWEST_RUNS:
            missing = f"fewer than {FEWEST_RUNS} runs measured it"
        elif not missing and not settings:
            missing = "the runs differ in no setting"
        return Filling(filling.names, settings, missing)

    def in_wandb(self, _panel: PanelConfig, filling: Filling) -> list[Any]:
        """Return a plot for each metric; wandb finds the settings itself and has no title."""
        import wandb_workspaces.reports.v2 as wr

        return [wr.ParameterImportancePlot(with_respect_to=name) for name in filling.names]

    def on_page(
        self, _panel: PanelConfig, filling: Filling, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        """Return a bar for each setting: the share of the metric's variance that it explains."""
        charts = []
        for name in filling.names:
            measured = [run for run in runs if name in run.names]
            last = [run.curve(name)[-1][1] for run in measured]
            shares = {
                setting: explained([run.settings.get(setting) for run in measured], last)
                for setting in filling.settings
            }
            order = sorted(shares.items(), key=lambda item: -item[1])
            bars = tuple(ChartBar(setting, f"{share:.0%}", share) for setting, share in order)
            charts.append(BarChart(f"Last {name} of {len(measured)} runs", bars, NOTE))
        return PagePanel(charts=charts)


def explained(values: Sequence[Any], results: Sequence[float]) -> float:
    """Return the share of the variance of results that one setting explains, from 0 to 1.

    Numbers: the squared rank correlation (Spearman). Others: epsilon squared of their groups
    (Kelley 1935), which allows for their number; without two results in a group it is 0, since
    nothing says what is chance.
    """
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) == len(values):
        return _correlation(_ranks(numbers), _ranks(results)) ** 2
    groups: dict[str, list[float]] = {}
    for value, result in zip(values, results, strict=True):
        groups.setdefault(str(value), []).append(result)
    mean = statistics.fmean(results)
    total = sum((result - mean) ** 2 for result in results)
    within = sum(
        (result - statistics.fmean(group)) ** 2 for group in groups.values() for result in group
    )
    free = len(results) - len(groups)
    if not total or not free:
        return 0.0
    share = 1 - within / free * (len(results) - 1) / total
    return max(0.0, share)


def _ranks(values: Sequence[float]) -> list[float]:
    """Return the rank of each value; equal values share the mean of theirs."""
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    if len(set(first)) < 2 or len(set(second)) < 2:
        return 0.0
    return statistics.correlation(first, second)


IMPORTANCE = PANELS.register(ImportanceKind())
