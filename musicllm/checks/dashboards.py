"""Rules on what is shown of trainings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from musicllm.config import keys, nearest
from musicllm.errors import Problem
from musicllm.report.dashboard.panels import PANELS
from musicllm.schema import Config, SectionConfig


def runs(config: Config) -> Iterator[Problem]:
    """Yield a dashboard that shows nothing, and one that could not be sent to one project."""
    if config.task != "dashboard":
        return
    if not config.runs and not config.inputs:
        yield Problem("runs", "[]", "names no training", "write runs=[<run>,<run>]")
    if not config.dashboard.sections:
        yield Problem("dashboard.sections", "{}", "shows nothing", "write dashboard=default")
    of_wandb = [name for name, logger in config.logger.items() if logger.kind == "wandb"]
    if len(of_wandb) != 1:
        rule = "must have one logger of kind wandb, whose project the dashboard belongs to"
        yield Problem("logger", f"[{','.join(config.logger)}]", rule, "write logger=[wandb]")
    for name in of_wandb:
        if config.logger[name].project is None:
            rule = "must be set: a dashboard belongs to a project"
            yield Problem(f"logger.{name}.project", "null", rule, "write musicllm")


def sections(config: Config) -> Iterator[Problem]:
    """Yield what the kinds of panel say of their settings, and titles that stand twice."""
    parts = config.dashboard.sections
    yield from _twice("dashboard.sections", [section.title for section in parts.values()])
    for name, section in parts.items():
        yield from _panels(f"dashboard.sections.{name}.panels", section)


def _panels(prefix: str, section: SectionConfig) -> Iterator[Problem]:
    yield from _twice(prefix, [panel.title for panel in section.panels.values()])
    for name, panel in section.panels.items():
        key = f"{prefix}.{name}"
        if panel.kind in PANELS:  # `values` refuses others
            yield from PANELS[panel.kind].problems(key, panel)
        for setting in panel.settings:
            if setting not in keys(setting):
                fix = nearest(setting, keys(setting))
                yield Problem(f"{key}.settings", setting, "is not a setting", fix)


def _twice(key: str, titles: list[str]) -> Iterator[Problem]:
    for title, count in Counter(titles).items():
        if count > 1:
            yield Problem(key, title, f"is the title of {count}; give each its own")
