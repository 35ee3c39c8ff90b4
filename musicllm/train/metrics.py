"""metrics.jsonl: one JSON object a line, the record of a run that always exists.

A line has `step` (finished optimizer steps) and metrics. A run that continues from a checkpoint
first removes the lines after it, so no step appears twice or is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm import artifacts

Line = dict[str, Any]

NAME = "metrics.jsonl"


def append(path: Path, step: int, values: Mapping[str, float]) -> None:
    """Add a line.

    Args:
        path: of metrics.jsonl.
        step: finished optimizer steps.
        values: by name; NaN and infinities become null, since JSON has none.
    """
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **finite}) + "\n")


def report(path: Path, step: int, values: Mapping[str, float], loggers: Iterable[Any]) -> None:
    """Add a line, and send it to Lightning's loggers; on rank 0 only."""
    append(path, step, values)
    for logger in loggers:
        logger.log_metrics(dict(values), step=step)


def read(path: Path) -> Iterator[Line]:
    """Yield the lines in order, without an incomplete last one."""
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(text)
        except ValueError:
            return


@dataclass(frozen=True)
class Damage:
    """Lines that are no metrics of a step.

    Attributes:
        num_lines: how many.
        first: number of the first, from 1.
        reason: what is wrong with it.
    """

    num_lines: int
    first: int
    reason: str

    def __str__(self) -> str:
        """Return it in words, as said after the name of the file."""
        count = "1 line is" if self.num_lines == 1 else f"{self.num_lines} lines are"
        return f"{count} damaged and left out, the first is line {self.first}: {self.reason}"


def read_whole(path: Path) -> tuple[list[Line], Damage | None]:
    """Return all lines that are metrics of a step, and what is wrong with others.

    For people who look at a run. A last line without a line end is being written, so it is no
    damage. NaN and infinities, which other writers may leave, become None.

    Raises:
        OSError: the file exists but cannot be read.
    """
    if not path.exists():
        return [], None
    *whole, last = path.read_bytes().split(b"\n")
    lines, bad = [], []
    for number, text in enumerate(whole, 1):
        line = _parsed(text) if text.strip() else None
        if isinstance(line, str):
            bad.append((number, line))
        elif line is not None:
            lines.append(line)
    if not isinstance(line := _parsed(last), str):
        lines.append(line)
    return lines, Damage(len(bad), *bad[0]) if bad else None


def _parsed(text: bytes) -> Line | str:
    """Return a line, or what is wrong with it."""
    try:
        line = json.loads(text.decode("utf-8"), parse_constant=lambda _: None)
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(line, dict):
        return "it is not a JSON object"
    step = line.get("step")
    if type(step) is not int or not 0 <= step < LARGEST:
        return "it has no step" if step is None else "its step is not a number of steps"
    for name, value in line.items():
        if not (value is None or (isinstance(value, int | float) and abs(value) < LARGEST)):
            return f"its {name[:60]} is not a number"
    return line


LARGEST = 1e300
"""Of a number that can be drawn."""


def truncate(path: Path, step: int) -> None:
    """Remove the lines after `step`; the file is replaced atomically."""
    lines = [line for line in read(path) if line["step"] <= step]
    artifacts.write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def last(path: Path, name: str) -> float | None:
    """Return the newest value of a metric, or None."""
    values = [line[name] for line in read(path) if name in line]
    return values[-1] if values else None
