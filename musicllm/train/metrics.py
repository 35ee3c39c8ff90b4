"""metrics.jsonl: one JSON object a line, the record of a run that always exists.

A line holds `step` (finished optimizer steps) and what was measured then. A run that continues
from a checkpoint first cuts off what came after it, so no step is there twice or missing.
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
    """Add a line, which is on its way to the disk when this returns.

    Args:
        path: of metrics.jsonl.
        step: finished optimizer steps.
        values: by name; NaN and infinities become null, since JSON has none.
    """
    finite = {name: value if math.isfinite(value) else None for name, value in values.items()}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **finite}) + "\n")


def report(path: Path, step: int, values: Mapping[str, float], loggers: Iterable[Any]) -> None:
    """Add a line, and tell Lightning's loggers the same; on rank 0 only."""
    append(path, step, values)
    for logger in loggers:
        logger.log_metrics(dict(values), step=step)


def read(path: Path) -> Iterator[Line]:
    """Yield the lines in their order; a last one that a crash cut short is left out."""
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(text)
        except ValueError:
            return


def truncate(path: Path, step: int) -> None:
    """Keep only lines of the first `step` steps; the file is replaced in one piece."""
    kept = [line for line in read(path) if line["step"] <= step]
    artifacts.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))


def last(path: Path, name: str) -> float | None:
    """Return the newest value of a measurement, or None."""
    values = [line[name] for line in read(path) if name in line]
    return values[-1] if values else None
