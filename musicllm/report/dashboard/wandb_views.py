"""A dashboard as a saved view of a project in wandb, and the report of a pipeline, by its library.

Nothing is sent here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from musicllm.report.dashboard.filling import FilledDashboard, FilledPanel
from musicllm.report.dashboard.panels import PANELS
from musicllm.report.dashboard.story import Block, Heading, Text
from musicllm.report.dashboard.watched import SAMPLES

COLUMNS = 3
WIDTH, HEIGHT = 24, 6
"""Of the grid in a report: units in a row, and of a panel."""


def sections(dashboard: FilledDashboard) -> list[Any]:
    """Return the sections of the view."""
    import wandb_workspaces.workspaces as ws

    built = []
    for section in dashboard.sections:
        panels = _panels(section.panels)
        columns = min(COLUMNS, len(panels))
        layout = ws.SectionLayoutSettings(columns=columns, rows=math.ceil(len(panels) / columns))
        built.append(
            ws.Section(
                name=section.title, panels=panels, is_open=section.is_open, layout_settings=layout
            )
        )
    return built


def workspace(dashboard: FilledDashboard, *, entity: str, project: str) -> Any:
    """Return the view of a project."""
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=entity, project=project, name=dashboard.title, sections=sections(dashboard)
    )


def blocks(story: Sequence[Block]) -> list[Any]:
    """Return the blocks of the report."""
    import wandb_workspaces.reports.v2 as wr

    return [wr.TableOfContents(), *(_block(block) for block in story)]


def _block(block: Block) -> Any:
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    if isinstance(block, Heading):
        return wr.H1(block.text)
    if isinstance(block, Text):
        return wr.MarkdownBlock(block.markdown)
    chosen = expr.And(expr.Metric("ID").isin(list(block.wandb_ids)))
    runs = wr.Runset(name=block.runs, filters=chosen)
    if not block.panels:
        whole = wr.Layout(x=0, y=0, w=WIDTH, h=2 * HEIGHT)
        return wr.PanelGrid(
            [runs], panels=[wr.WeavePanelSummaryTable(table_name=SAMPLES, layout=whole)]
        )
    panels, width = _panels(block.panels), WIDTH // COLUMNS
    for place, panel in enumerate(panels):
        row, column = divmod(place, COLUMNS)
        panel.layout = wr.Layout(x=column * width, y=row * HEIGHT, w=width, h=HEIGHT)
    return wr.PanelGrid([runs], panels=panels)


def report(story: Sequence[Block], title: str, *, entity: str, project: str) -> Any:
    """Return the report, which belongs to a project."""
    import wandb_workspaces.reports.v2 as wr

    return wr.Report(project, entity, title=title, blocks=blocks(story), width="fluid")


def _panels(filled: Sequence[FilledPanel]) -> list[Any]:
    return [
        panel
        for each in filled
        for panel in PANELS[each.panel.kind].in_wandb(each.panel, each.filling)
    ]
