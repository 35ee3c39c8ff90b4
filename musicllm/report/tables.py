"""Tables of text: metrics, plans and times.

Knows the layout of `results.json` and `plan.json`; does not know HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from musicllm.evals.kind import subset_words
from musicllm.report.runs import FinishedRun

NOTHING = "–"
"""Placeholder for a missing value."""


REFERENCE_NOTE = "The reference is what people wrote: held-out tunes, measured in the same way."


@dataclass(frozen=True)
class Cell:
    """A value, and its interval if it has one."""

    text: str
    interval: str = ""

    def __str__(self) -> str:
        """Return the value followed by its interval in brackets."""
        return f"{self.text} ({self.interval})" if self.interval else self.text


@dataclass(frozen=True)
class TableRow:
    """A row: its head, then a cell per column after the first."""

    head: str
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """A table; `columns` includes the first, which has the heads of the rows.

    Cells are right-aligned, unless `is_text`.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[TableRow]
    note: str = ""
    is_text: bool = False

    def texts(self) -> list[list[str]]:
        """Return the rows as texts, every interval in brackets behind its value."""
        return [[row.head, *map(str, row.cells)] for row in self.rows]


def as_text(value: object) -> str:
    """Format a value: 4,111, 2.046, yes, or a dash for None."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return str(value)


def duration(seconds: float | None) -> str:
    """Format seconds as `48 s`, `3 min 20 s` or `2 h 5 min`."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if seconds >= 1 else f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def words(name: str) -> str:
    """Return a key as words: `num_bars` is `bars`, `bits_per_character` is `bits per character`."""
    return name.removeprefix("num_").replace("_", " ")


def evaluation_tables(
    models: Mapping[str, Mapping[str, Mapping[str, Any]]],
    facts: Mapping[str, Mapping[str, Any]],
    most_rows: int | None = None,
) -> list[Table]:
    """Return a table per benchmark: a row per metric, a column per model or reference.

    Args:
        models: value by metric by benchmark by role, as in `results.json`; `<metric>_low` and
            `<metric>_high` are the 95 % interval of `<metric>`.
        facts: by benchmark, likewise; incomplete evaluations are marked.
        most_rows: maximum number of rows of a table; its note counts the rest. None for all.
    """
    benchmarks = dict.fromkeys(name for results in models.values() for name in results)
    marks = {name: subset_words(facts[name]) if name in facts else "" for name in benchmarks}
    return [_cut(_benchmark(name, models, mark), most_rows) for name, mark in marks.items()]


def _cut(table: Table, most_rows: int | None) -> Table:
    if most_rows is None or len(table.rows) <= most_rows:
        return table
    rest = f"{len(table.rows) - most_rows} more rows are in results.json"
    note = f"{table.note} {rest}".strip()
    return replace(table, rows=table.rows[:most_rows], note=note)


def _benchmark(
    name: str, models: Mapping[str, Mapping[str, Mapping[str, Any]]], subset: str
) -> Table:
    by_role = {role: results[name] for role, results in models.items() if name in results}
    metrics = dict.fromkeys(metric for values in by_role.values() for metric in values)
    bounds = {f"{metric}_{end}" for metric in metrics for end in ("low", "high")}
    rows = [
        TableRow(words(metric), [_measured(values, metric) for values in by_role.values()])
        for metric in metrics
        if metric not in bounds
    ]
    note = REFERENCE_NOTE if "reference" in by_role else ""
    caption = f"{words(name)} ({subset})" if subset else words(name)
    return Table(caption, ["", *map(words, by_role)], rows, note)


def _measured(values: Mapping[str, Any], metric: str) -> Cell:
    low, high = values.get(f"{metric}_low"), values.get(f"{metric}_high")
    interval = "" if low is None or high is None else f"{as_text(low)} to {as_text(high)}"
    return Cell(as_text(values.get(metric)), interval)


def plan_table(runs: Sequence[FinishedRun]) -> Table | None:
    """Return the plans of the runs, a column per run; None without plans."""
    plans = {run.recipe: _flat(run.plan) for run in runs if run.plan is not None}
    if not plans:
        return None
    names = dict.fromkeys(name for plan in plans.values() for name in plan)
    rows = [
        TableRow(words(name), [Cell(as_text(plan.get(name))) for plan in plans.values()])
        for name in names
    ]
    return Table("The plan before the first step", ["", *plans], rows)


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the leaves of nested mappings by their joined keys."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves |= _flat(value, f"{prefix}{name} ")
        elif isinstance(value, list):
            leaves[prefix + name] = ", ".join(map(as_text, value)) or None
        else:
            leaves[prefix + name] = value
    return leaves


def time_table(runs: Sequence[FinishedRun]) -> Table:
    """Return the duration of each run, and the sum."""
    rows = [TableRow(run.recipe, [Cell(duration(run.duration_s))]) for run in runs]
    durations = [run.duration_s for run in runs if run.duration_s is not None]
    rows.append(
        TableRow("together", [Cell(duration(sum(durations)))] if durations else [Cell(NOTHING)])
    )
    note = "A run that was interrupted counts from where it continued."
    return Table("", ["step", "time"], rows, note)
