"""The table and `gpu.json`. Imports nothing but the standard library."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.gpu.check.finding import BAD, Finding
from tests.gpu.check.schedule import Outcome

PACKAGES = (
    "torch", "triton", "transformers", "peft", "lightning", "deepspeed", "bitsandbytes",
    "liger-kernel", "flash-attn", "hydra-core",
)  # fmt: skip


def content(outcomes: Sequence[Outcome], *, dry: bool) -> dict[str, Any]:
    """Return the content of gpu.json."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.gpu.check {' '.join(sys.argv[1:])}".strip(),
        "dry": dry,
        "gpu": _gpu(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "bad": num_bad(outcomes),
        "parts": [asdict(outcome) for outcome in outcomes],
    }


def write(file: Path, outcomes: Sequence[Outcome], *, dry: bool) -> None:
    """Write gpu.json, whole or not at all."""
    new = file.with_name(f".{file.name}")
    new.write_text(json.dumps(content(outcomes, dry=dry), indent=1) + "\n", encoding="utf-8")
    new.replace(file)


def num_bad(outcomes: Sequence[Outcome]) -> int:
    """Return the number of wrong findings and of parts that did not end well."""
    wrong = sum(finding.verdict in BAD for outcome in outcomes for finding in outcome.findings)
    return wrong + sum(outcome.state != "done" for outcome in outcomes)


def table(outcomes: Sequence[Outcome]) -> str:
    """Return all findings as a table, what is bad marked with an exclamation mark."""
    rows = [("", "part", "checked", "figure", "right if", "verdict", "note")]
    for outcome in outcomes:
        ended = "" if outcome.state == "done" else "!"
        rows.append((ended, outcome.name, f"{outcome.seconds:.0f} s", "", "", outcome.state, ""))
        rows += [_row(finding) for finding in outcome.findings]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join(
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[6]]).rstrip()
        for row in rows
    )


def _row(finding: Finding) -> tuple[str, ...]:
    figure = "" if finding.figure is None else f"{finding.figure:,.4g} {finding.unit}".strip()
    mark = "!" if finding.verdict in BAD else ""
    return (mark, "", finding.name, figure, finding.rule, finding.verdict, finding.note)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _gpu() -> str | None:
    """Return name, memory and driver of the first GPU."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[0] if lines else None
