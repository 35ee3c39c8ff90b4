"""metrics.jsonl: one JSON object a line, the record of a run that always exists.

A line has `step` (finished optimizer steps) and metrics. A run that continues from a checkpoint
first removes the lines after it, so no step appears twice or is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
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


def truncate(path: Path, step: int) -> None:
    """Remove the lines after `step`; the file is replaced atomically."""
    lines = [line for line in read(path) if line["step"] <= step]
    artifacts.write_text(path, "".join(json.dumps(line) + "\n" for line in lines))


def last(path: Path, name: str) -> float | None:
    """Return the newest value of a metric, or None."""
    values = [line[name] for line in read(path) if name in line]
    return values[-1] if values else None
