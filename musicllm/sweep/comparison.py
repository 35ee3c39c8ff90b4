"""The jobs of a sweep side by side: in the terminal, as JSON, CSV, picture and page.

Jobs stand in the order of the metric, failed ones last. Nothing is run here.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicllm import artifacts, console, quoting
from musicllm.schema import SweepConfig
from musicllm.sweep.trial import FAILED, Result

HIDDEN = ("perf/", "train/")
"""Beginnings of metrics that stand in the files alone, unless compared, but for `train/loss`."""


def write_json(results: Sequence[Result], folder: Path) -> None:
    """Write every result so far into `comparison.json`; cheap enough after each job."""
    artifacts.write_json(folder / "comparison.json", [_plain(result) for result in results])


def _plain(result: Result) -> dict[str, Any]:
    return {
        "settings": {key: str(value) for key, value in result.trial.values.items()},
        "state": result.state,
        "metrics": dict(result.metrics),
        "seconds": result.seconds,
        "folder": None if result.folder is None else str(result.folder),
        "logs": str(result.trial.logs),
        "command": quoting.command(*result.trial.words),
        "error": result.error,
    }


def show(results: Sequence[Result], sweep: SweepConfig, folder: Path) -> int:
    """Print the table and what was best, write the files; return 1 when a job failed, else 0."""
    ranked = rank(results, sweep)
    columns = _columns(ranked, sweep.metric)
    write_json(ranked, folder)
    _write_csv(ranked, folder / "comparison.csv")
    console.say()
    rows = [
        (result.trial.title, *(_cell(result, name) for name in columns), where(result))
        for result in ranked
    ]
    console.table("Comparison", ("job", *columns, "where"), rows)
    _say_best(ranked, sweep)
    if ranked:
        from musicllm.sweep import page

        page.write(ranked, best(ranked, sweep.metric), columns, sweep, folder)
        console.say(f"open {folder / 'comparison.html'}")
    failed = sum(result.state == FAILED for result in results)
    if failed:
        console.note(f"{failed} of {len(results)} jobs failed; the same command tries them again")
    return 1 if failed else 0


def rank(results: Sequence[Result], sweep: SweepConfig) -> list[Result]:
    """Return the results from the best metric to the worst, those without it and failures last."""
    sign = 1 if sweep.direction == "minimize" else -1

    def place(result: Result) -> tuple[bool, float, int]:
        value = result.metrics.get(sweep.metric)
        key = math.inf if value is None else sign * value
        return result.state == FAILED, key, result.trial.number

    return sorted(results, key=place)


def best(ranked: Sequence[Result], metric: str) -> Result | None:
    """Return the first of ranked results, unless it has no metric."""
    return ranked[0] if ranked and metric in ranked[0].metrics else None


def where(result: Result) -> str:
    """Return the folder to look into next."""
    return str(result.trial.logs if result.state == FAILED else result.folder or result.trial.logs)


def _say_best(ranked: Sequence[Result], sweep: SweepConfig) -> None:
    first = best(ranked, sweep.metric)
    if first is not None:
        value = first.metrics[sweep.metric]
        console.say(f"best {sweep.metric}, {value:.4g}: {first.trial.title}")
        console.say(f"use it: {first.use}")
        return
    if all(result.state == FAILED for result in ranked):
        return
    recorded = sorted({name for result in ranked for name in result.metrics})
    there = f"there are {', '.join(recorded)}" if recorded else "they recorded no metrics at all"
    console.note(f"sweep.metric={sweep.metric} was measured by no job; {there}")


def _columns(results: Sequence[Result], metric: str) -> list[str]:
    """Return the names of the metrics that a table has room for, the compared one first."""
    names = sorted({name for result in results for name in result.metrics})
    always = ("train/loss", metric)
    visible = [name for name in names if not name.startswith(HIDDEN) or name in always]
    return sorted(visible, key=lambda name: name != metric)


def _cell(result: Result, name: str) -> str:
    if result.state == FAILED:
        return FAILED
    value = result.metrics.get(name)
    return "" if value is None else f"{value:.4g}"


def _write_csv(results: Sequence[Result], path: Path) -> None:
    """Write a line per job: its settings, state, time and every metric, not rounded."""
    keys = list(dict.fromkeys(key for result in results for key in result.trial.values))
    names = sorted({name for result in results for name in result.metrics})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*keys, "state", "seconds", *names, "folder"])
        for result in results:
            values = [result.trial.values.get(key) for key in keys]
            numbers = [result.metrics.get(name) for name in names]
            writer.writerow([*values, result.state, result.seconds, *numbers, result.folder])
