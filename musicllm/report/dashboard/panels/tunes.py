"""Tunes that a model wrote while it was trained, with their scores and sounds."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from musicllm.errors import ArtifactError, Problem
from musicllm.report.dashboard.panels import PANELS, Filling, PagePanel, PageTune, PanelKind
from musicllm.report.dashboard.watched import SAMPLES, WatchedRun
from musicllm.schema import PanelConfig
from musicllm.train.tunes import read_tunes

MAX_TUNES = 8
"""Of a run on a page."""
MEDIA_TYPES = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
}


class TunesKind(PanelKind):
    """A table of tunes; its metric is `samples`, under which they are logged."""

    name = "tunes"

    def problems(self, key: str, panel: PanelConfig) -> Iterator[Problem]:
        """Yield a metric that is no table of tunes."""
        yield from super().problems(key, panel)
        if panel.metrics and panel.metrics != [SAMPLES]:
            rule = f"are no tunes, which are logged as {SAMPLES}"
            yield Problem(f"{key}.metrics", panel.metrics, rule, f"write [{SAMPLES}]")

    def fill(self, panel: PanelConfig, runs: Sequence[WatchedRun]) -> Filling:
        """Return the tunes, if a run has any."""
        filling = super().fill(panel, runs)
        if filling.missing:
            return Filling(missing="no run wrote tunes (callbacks.samples_every_steps)")
        return filling

    def in_wandb(self, _panel: PanelConfig, filling: Filling) -> list[Any]:
        """Return the last table of every run; wandb gives its panel no title."""
        import wandb_workspaces.reports.v2 as wr

        return [wr.WeavePanelSummaryTable(table_name=name) for name in filling.names]

    def on_page(
        self, _panel: PanelConfig, _filling: Filling, runs: Sequence[WatchedRun]
    ) -> PagePanel:
        """Return the newest tunes of every run."""
        return PagePanel(tunes=[tune for run in runs for tune in _newest(run)])


def _newest(run: WatchedRun) -> Iterator[PageTune]:
    """Yield the tunes of the last step of a run that has some; a file may be gone meanwhile."""
    last = max(line["step"] for line in run.lines)
    steps = [step for step in run.tune_steps if step <= last]
    if not steps:
        return
    try:
        tunes = dict(read_tunes(run.folder)).get(steps[-1], [])
    except ArtifactError:  # it was readable a moment ago; the next look says what is wrong
        return
    for number, tune in enumerate(tunes[:MAX_TUNES], 1):
        yield PageTune(
            heading=f"{run.label}, step {steps[-1]:,}, tune {number} of {len(tunes)}",
            prompt=tune.prompt,
            text=tune.text,
            picture=_uri(tune.score),
            sound=_uri(tune.sound),
        )


def _uri(path: Path | None) -> str | None:
    """Return a file as a data: URI, or None if it cannot be read."""
    if path is None or not path.is_file():
        return None
    try:
        content = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError:
        return None
    return f"data:{MEDIA_TYPES[path.suffix]};base64,{content}"


TUNES = PANELS.register(TunesKind())
