"""What a person sees in the terminal: lines, tables, and one progress bar per long step.

Everything printed goes through here, so that it is plain text when the output is not a terminal
(a log file, CI, Slurm) and coloured when it is. Errors and notes go to standard error, results
to standard output. Nothing here knows about music or models.
"""

from __future__ import annotations

import codecs
import io
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 160
"""Columns of a table when the output is not a terminal."""


def _console(stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else PLAIN_WIDTH
    return Console(stderr=stderr, width=width, soft_wrap=True, highlight=False)


ASCII = str.maketrans(
    {"─": "-", "━": "-", "│": "|", "└": "`", "├": "|", "·": ".", "…": "...", "→": "->",
     "←": "<-", "×": "x", "–": "-", "“": '"', "”": '"', "’": "'", "•": "*", "♯": "#", "♭": "b"}
)  # fmt: skip
"""Signs that are drawn otherwise where the output has no letter for them."""


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Write what an encoding lacks with the letters that it has: a sign of ASCII, or an escape."""
    assert isinstance(error, UnicodeEncodeError), "only used for writing"
    text = error.object[error.start : error.end].translate(ASCII)
    return text.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error("musicllm", _replace)


def lose_nothing() -> None:
    """Let standard output and error take any text, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="musicllm")


out = _console(stderr=False)
err = _console(stderr=True)

PLAIN_INTERVAL_S = 15.0
"""Without a terminal a long step prints one line at most this often."""


def mute() -> None:
    """Print nothing any more but errors: another process of the same run speaks."""
    out.quiet = True


def say(line: str = "") -> None:
    """Print one line of the result."""
    out.print(escape(line))


def heading(line: str) -> None:
    """Print the heading of a stage or a section."""
    out.print(f"[bold]{escape(line)}[/bold]")


def note(line: str) -> None:
    """Print something that the user should know but need not act on."""
    if not out.quiet:
        err.print(escape(line), style="yellow")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; every cell is shown with `str`."""
    grid = Table(title=title or None, title_justify="left", title_style="bold", box=None)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(str(cell)) for cell in row))
    out.print(grid)


class _RateColumn(ProgressColumn):
    """Steps per second, with the unit that the caller named."""

    def render(self, task: object) -> Text:
        speed = getattr(task, "speed", None) or 0.0
        unit = getattr(task, "fields", {}).get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s")


Advance = Callable[..., None]
"""`advance(steps=1, note="")`: count steps as done and show a short note beside the bar."""


@contextmanager
def progress(description: str, total: int | None, unit: str = "step") -> Iterator[Advance]:
    """Show one bar with rate and time left; without a terminal, a line now and then.

    Args:
        description: what is being done, such as `parsing tunes`.
        total: number of units in all, or None when it is not known.
        unit: singular name of what is counted, for the rate.

    Yields:
        `advance(steps=1, note="")`.
    """
    if out.is_terminal:
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn() if total else MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        ]
        with Progress(*columns, console=out, transient=True) as bar:
            task = bar.add_task(description, total=total, unit=unit, note="")
            yield lambda steps=1, note="": bar.update(task, advance=steps, note=note)
    else:
        yield _plain_advance(description, total, unit)


def _plain_advance(description: str, total: int | None, unit: str) -> Advance:
    started = last = time.monotonic()
    done = 0

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last < PLAIN_INTERVAL_S:
            return
        last = now
        rate = done / (now - started)
        left = f", {(total - done) / rate:.0f} s left" if total and rate else ""
        of_total = f"{done:,} of {total:,}" if total else f"{done:,}"
        say(f"{description}: {of_total} {unit}s, {rate:,.1f}/s{left}{'  ' + note if note else ''}")
        sys.stdout.flush()

    return advance
