"""How far a run is, told by the files of its folder; nothing is locked or changed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from musicllm import artifacts
from musicllm.report.dashboard.watched import WatchedRun
from musicllm.report.tables import NOTHING, Cell, Table, TableRow, as_text, duration
from musicllm.train import metrics

FAILED = "failed"
"""File of a run folder with the error that stopped it."""
SILENT_AFTER_S = 60.0
"""Seconds without a line after which a run is told to be silent, at least."""
SILENT_AFTER_LINES = 5
"""The same in times of the steps between its lines."""
RECENT_LINES = 20
SILENT_NOTE = "A run without a line for long was stopped, or is in a long step or evaluation."


@dataclass(frozen=True)
class RunState:
    """What a run is doing.

    Attributes:
        kind: `silent` is a run without a line for long: stopped, or slow.
        words: for people.
    """

    kind: Literal["training", "silent", "failed", "finished"]
    words: str


def state(run: WatchedRun, now: float) -> RunState:
    """Return what a run is doing.

    Args:
        run: as it was read.
        now: `time.time()`.
    """
    written = _changed(run.folder / metrics.NAME)
    made = _changed(run.folder / "artifact" / artifacts.MANIFEST)
    planned = (run.plan or {}).get("num_steps")
    is_whole = planned is not None and last_step(run) >= planned  # whatever a copy did to times
    if made is not None and (is_whole or written is None or made >= written):
        return RunState("finished", "finished")
    error = run.folder / FAILED
    if error.is_file():
        return RunState("failed", f"stopped by an error: {_first_line(error)}")
    age = max(0.0, now - (now if written is None else written))
    if age > max(SILENT_AFTER_S, SILENT_AFTER_LINES * _between_lines(run)):
        return RunState("silent", f"no line for {duration(age)}")
    return RunState("training", "training")


def _first_line(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return (text.strip().splitlines() or [""])[0]


def last_step(run: WatchedRun) -> int:
    """Return the last step with a line."""
    last: int = max(line["step"] for line in run.lines)
    return last


def _changed(path: Path) -> float | None:
    """Return when a file was written, or None if there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _step_time(run: WatchedRun) -> float | None:
    """Return seconds of a step, the median of recent lines."""
    recent = run.curve("perf/step_time_s")[-RECENT_LINES:]
    return statistics.median(value for _, value in recent) if recent else None


def _between_lines(run: WatchedRun) -> float:
    """Return seconds between two lines of the training loss, 0 if it is unknown."""
    steps = [step for step, _ in run.curve("train/loss")[-2:]]
    seconds = _step_time(run)
    return (steps[-1] - steps[0]) * seconds if len(steps) == 2 and seconds is not None else 0.0


def progress_table(
    runs: Sequence[WatchedRun], states: Sequence[RunState], waiting: Mapping[str, str]
) -> Table:
    """Return a row for each run, and for each that shows nothing yet, with the reason."""
    rows = [_row(run, at) for run, at in zip(runs, states, strict=True)]
    blank = [Cell(NOTHING)] * 5
    rows += [TableRow(name, [Cell(why), *blank]) for name, why in waiting.items()]
    columns = [
        "run", "state", "step", "time left", "training loss", "validation loss", "tokens/s"
    ]  # fmt: skip
    return Table(
        "", columns, rows, SILENT_NOTE if any(at.kind == "silent" for at in states) else ""
    )


def _row(run: WatchedRun, at: RunState) -> TableRow:
    step = last_step(run)
    planned = (run.plan or {}).get("num_steps")
    seconds = _step_time(run)
    left = NOTHING
    if at.kind in ("training", "silent") and seconds is not None and planned is not None:
        left = duration((planned - step) * seconds)
    last = [_last(run, name) for name in ("train/loss", "val/loss", "perf/tokens_per_s")]
    steps = f"{step:,} of {planned:,}" if planned is not None else f"{step:,}"
    return TableRow(run.label, [Cell(at.words), Cell(steps), Cell(left), *last])


def _last(run: WatchedRun, name: str) -> Cell:
    curve = run.curve(name)
    return Cell(as_text(curve[-1][1] if curve else None))
