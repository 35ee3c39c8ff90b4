"""Sections of panels in which runs are watched: in wandb, and on a static page."""

from __future__ import annotations

from musicllm.schema.keys import group, key


@group
class PanelConfig:
    """One panel of a section."""

    title: str = key("what it shows, with the unit; unlike any other title in the section")
    kind: str = key("kind of panel", kinds="musicllm.report.dashboard.panels:PANELS")
    metrics: list[str] = key("metrics of metrics.jsonl; * stands for any part of a name")
    settings: list[str] = key(
        "settings beside the metrics, such as optimizer.lr, of a kind that shows them; []: those "
        "in which the runs differ"
    )
    log_scale: bool = key("logarithmic axis of the values")


@group
class SectionConfig:
    """Panels that belong together."""

    title: str = key("heading")
    is_open: bool = key("its panels are visible at first")
    panels: dict[str, PanelConfig]


@group
class DashboardConfig:
    """What is shown of runs, section by section; a panel without values is left out."""

    title: str = key("name of the view in wandb, and of the page")
    sections: dict[str, SectionConfig]
