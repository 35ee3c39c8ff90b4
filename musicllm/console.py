"""Terminal output: lines, tables, and one progress bar per long operation.

All output goes through here, so that it is plain text if it does not go to a terminal (but to a log
file, CI, Slurm) and coloured otherwise. Errors and notes go to standard error, results to standard
output.
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
"""Width of a table, in columns, without a terminal."""


def _console(stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal else PLAIN_WIDTH
    return Console(stderr=stderr, width=width, soft_wrap=True, highlight=False)


ASCII = str.maketrans(
    {"─": "-", "━": "-", "│": "|", "└": "`", "├": "|", "·": ".", "…": "...", "→": "->",
     "←": "<-", "×": "x", "–": "-", "“": '"', "”": '"', "’": "'", "•": "*", "♯": "#", "♭": "b"}
)  # fmt: skip
"""Replacements of characters that the output encoding lacks."""


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that the encoding lacks by ASCII characters or escapes."""
    assert isinstance(error, UnicodeEncodeError), "only used for encoding"
    text = error.object[error.start : error.end].translate(ASCII)
    return text.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error("musicllm", _replace)


def replace_unencodable() -> None:
    """Let standard output and error accept any text, whatever their encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="musicllm")


out = _console(stderr=False)
err = _console(stderr=True)

PLAIN_INTERVAL_S = 15.0
"""Minimum interval between progress lines without a terminal."""


def mute() -> None:
    """Print only errors from now on, since another process of the run prints the rest."""
    out.quiet = True


def say(line: str = "") -> None:
    """Print one line to standard output."""
    out.print(escape(line))


def stream(text: str) -> None:
    """Print a piece of a text that is being written to standard output, as it is."""
    if not out.quiet:
        out.file.write(text)
        out.file.flush()


def styled(line: str, style: str) -> None:
    """Print one line to standard output, such as `dim` or `cyan` in a terminal."""
    out.print(escape(line), style=style)


def heading(line: str) -> None:
    """Print the heading of a stage or a section."""
    out.print(f"[bold]{escape(line)}[/bold]")


def note(line: str) -> None:
    """Print a warning that needs no action to standard error."""
    if not out.quiet:
        err.print(escape(line), style="yellow")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; cells are converted with `str`."""
    grid = Table(title=title or None, title_justify="left", title_style="bold", box=None)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(str(cell)) for cell in row))
    out.print(grid)


class _RateColumn(ProgressColumn):
    """Steps per second, in the caller's unit."""

    def render(self, task: object) -> Text:
        speed = getattr(task, "speed", None) or 0.0
        unit = getattr(task, "fields", {}).get("unit", "")
        return Text(f"{speed:,.1f} {unit}/s")


Advance = Callable[..., None]
"""`advance(steps=1, note="")` counts finished steps and shows a short note beside the bar."""


@contextmanager
def progress(description: str, total: int | None, unit: str = "step") -> Iterator[Advance]:
    """Show a progress bar with rate and remaining time; without a terminal, periodic lines.

    Args:
        description: such as `parsing tunes`.
        total: number of units, or None if unknown.
        unit: singular name of a unit, for the rate.

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
        rest = f", {(total - done) / rate:.0f} s left" if total and rate else ""
        of_total = f"{done:,} of {total:,}" if total else f"{done:,}"
        say(f"{description}: {of_total} {unit}s, {rate:,.1f}/s{rest}{'  ' + note if note else ''}")
        sys.stdout.flush()

    return advance
