"""The report of a finished pipeline as blocks: every training before and after, results, tunes.

Blocks are plain values; `wandb_views` turns them into those of wandb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from musicllm.artifacts import Artifact
from musicllm.report import tables
from musicllm.report.card import markdown
from musicllm.report.dashboard import watched
from musicllm.report.dashboard.filling import FilledPanel, fill
from musicllm.report.dashboard.watched import SAMPLES, WatchedRun
from musicllm.report.runs import FinishedRun, read_json, read_lines, read_run
from musicllm.report.tables import Cell, Table, TableRow, as_text
from musicllm.schema import DashboardConfig

MOST_TUNES = 8
"""Tunes of one artifact whose text is in the report; the table of tunes has more."""

COMPARED = ("train/loss", "val/*", "eval/*", "music/*")
"""Metrics that are compared before and after a training."""


@dataclass(frozen=True)
class Heading:
    """The heading of a part."""

    text: str


@dataclass(frozen=True)
class Text:
    """Markdown."""

    markdown: str


@dataclass(frozen=True)
class Panels:
    """Panels of some runs in wandb.

    Attributes:
        runs: name of the set of runs.
        wandb_ids: of the runs.
        panels: that have values; empty for the table of tunes.
    """

    runs: str
    wandb_ids: Sequence[str]
    panels: Sequence[FilledPanel]


Block = Heading | Text | Panels


def story(
    inputs: Mapping[str, Artifact], dashboard: DashboardConfig, *, own_id: str | None
) -> list[Block]:
    """Return the report of a chain of runs.

    Args:
        inputs: artifacts by role, in the order in which they were made.
        dashboard: whose panels stand beside every training that was logged to wandb.
        own_id: id of the run in wandb that holds the table of tunes; None without one.

    Raises:
        ArtifactError: a file exists but cannot be read.
    """
    runs = [read_run(role, artifact) for role, artifact in inputs.items()]
    blocks: list[Block] = []
    for run in runs:
        if is_training(run.artifact):
            blocks += _training(watched.read(run.artifact.path.parent, run.recipe), dashboard)
        elif run.artifact.kind == "evaluation":
            blocks += _evaluation(run)
        elif run.artifact.kind == "tunes":
            blocks += _tunes(run)
    if own_id is not None:
        blocks += [Heading("Tunes with score and sound"), Panels(SAMPLES, [own_id], [])]
    return [*blocks, Heading("Time"), Text(_table(tables.time_table(runs)))]


def is_training(artifact: Artifact) -> bool:
    """Return whether an artifact is what a training made."""
    return bool(artifact.provenance.get("config", {}).get("task") == "train")


def _training(run: WatchedRun, dashboard: DashboardConfig) -> Iterator[Block]:
    """Yield a training: first and last values, plan and measured, panels."""
    yield Heading(run.label)
    yield Text(_table(before_and_after(run)))
    if planned := plan_against_measured(run):
        yield Text(_table(planned))
    if run.wandb_id is not None:
        sections = fill(dashboard, [run]).sections
        yield Panels(run.label, [run.wandb_id], [p for section in sections for p in section.panels])


def before_and_after(run: WatchedRun) -> Table:
    """Return the first and the last value of what a training logged more than once."""
    names = [name for name in run.matching(COMPARED) if not name.endswith(("_low", "_high"))]
    curves = {name: curve for name in names if len(curve := run.curve(name)) > 1}
    rows = [
        TableRow(name, [Cell(as_text(value)) for point in (curve[0], curve[-1]) for value in point])
        for name, curve in curves.items()
    ]
    return Table("Before and after", ["", "step", "before", "step", "after"], rows)


def plan_against_measured(run: WatchedRun) -> Table | None:
    """Return what the plan expected and the mean of what was measured; None without a plan."""
    rows = []
    for name, expected in run.expected.items():
        values = [value for _, value in run.curve(name)]
        if values:
            mean = sum(values) / len(values)
            ratio = as_text(mean / expected) if expected else tables.NOTHING
            texts = (as_text(expected), as_text(mean), ratio)
            rows.append(TableRow(name, [Cell(text) for text in texts]))
    columns = ["", "plan", "measured, on average", "measured / plan"]
    return Table("Plan against measured", columns, rows) if rows else None


def _evaluation(run: FinishedRun) -> Iterator[Block]:
    results = read_json(run.artifact.path / "results.json")
    yield Heading(run.recipe)
    for table in tables.evaluation_tables(results["models"], results.get("benchmarks", {})):
        yield Text(_table(table))


def _tunes(run: FinishedRun) -> Iterator[Block]:
    """Yield prompts and answers, each as code, so that nothing in them is markdown."""
    yield Heading(run.recipe)
    for line in read_lines(run.artifact.path / "generations.jsonl", MOST_TUNES):
        checks = [
            f"{tune['num_bars_fitting']} of {tune['num_bars']} bars fit the metre"
            if tune["parses"]
            else "no tune that parses"
            for tune in line["tunes"]
        ]
        words = ", ".join(checks) or line["skipped"] or "no tune in the answer"
        yield Text(f"{markdown.code(line['prompt'])}\n{words}:\n\n{markdown.code(line['answer'])}")


def _table(table: Table) -> str:
    """Return a table in markdown, below its caption and above its note."""
    rows = markdown.table([markdown.cell(name) for name in table.columns], table.texts())
    parts = [f"**{markdown.cell(table.caption)}**\n" if table.caption else "", rows]
    return "\n".join([*(part for part in parts if part), markdown.cell(table.note)])
