"""The page and the picture of a sweep, from its ranked results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from musicllm import artifacts
from musicllm.report.page import NextCommand, Tile
from musicllm.report.sweep_figures import SweptJob, sweep_png, sweep_svg
from musicllm.report.sweep_page import SweepPage, render_sweep
from musicllm.report.tables import Cell, Table, TableRow, as_text, duration
from musicllm.schema import SweepConfig
from musicllm.sweep import trial
from musicllm.sweep.trial import FAILED, Result


def write(
    ranked: Sequence[Result],
    best: Result | None,
    columns: Sequence[str],
    sweep: SweepConfig,
    folder: Path,
) -> None:
    """Write `comparison.html`, which holds everything, and `comparison.png`.

    Args:
        ranked: results, the best first.
        best: the first of them, if it was measured.
        columns: metrics that the table shows.
        sweep: by what they were compared.
        folder: of the sweep.
    """
    jobs = [_swept(result, sweep.metric) for result in ranked]
    sweep_png(jobs, sweep.metric, folder / "comparison.png")
    page = SweepPage(
        title=f"Sweep {folder.name}",
        summary=_summary(ranked, best, sweep),
        tiles=_tiles(ranked, best, sweep),
        jobs=_table(ranked, columns),
        picture=sweep_svg(jobs, sweep.metric),
        failures=_failures(ranked),
        commands=[NextCommand("Go on with the best", best.use)] if best else [],
    )
    artifacts.write_text(folder / "comparison.html", render_sweep(page))


def _swept(result: Result, metric: str) -> SweptJob:
    folder = result.folder or result.trial.logs
    return SweptJob(
        title=result.trial.title,
        values={key: str(value) for key, value in result.trial.values.items()},
        metric=result.metrics.get(metric),
        train=trial.curve(folder, "train/loss"),
        validation=trial.curve(folder, "val/loss"),
    )


def _summary(ranked: Sequence[Result], best: Result | None, sweep: SweepConfig) -> str:
    if best is None:
        if len(ranked) == 1:
            return f"1 job, which did not measure {sweep.metric}."
        return f"{len(ranked)} jobs, none of which measured {sweep.metric}."
    word = "lowest" if sweep.direction == "minimize" else "highest"
    return f"The {word} {sweep.metric} came from {best.trial.title}."


def _tiles(ranked: Sequence[Result], best: Result | None, sweep: SweepConfig) -> list[Tile]:
    failed = sum(result.state == FAILED for result in ranked)
    total = sum(result.seconds or 0 for result in ranked)
    tiles = [Tile(as_text(best.metrics[sweep.metric]), f"best {sweep.metric}")] if best else []
    return [
        *tiles,
        Tile(as_text(len(ranked) - failed), "jobs that came to their end"),
        Tile(as_text(failed), "jobs that failed"),
        Tile(duration(total), "in all jobs together"),
    ]


def _table(ranked: Sequence[Result], columns: Sequence[str]) -> Table:
    rows = [
        TableRow(
            result.trial.title,
            [
                *(Cell(as_text(result.metrics.get(name))) for name in columns),
                Cell(duration(result.seconds)),
                Cell(result.state),
            ],
        )
        for result in ranked
    ]
    return Table("", ["job", *columns, "time", "state"], rows)


def _failures(ranked: Sequence[Result]) -> Table | None:
    failed = [result for result in ranked if result.state == FAILED]
    rows = [
        TableRow(result.trial.title, [Cell(result.error), Cell(str(result.trial.logs))])
        for result in failed
    ]
    return Table("", ["job", "why", "logs"], rows, is_text=True) if failed else None
