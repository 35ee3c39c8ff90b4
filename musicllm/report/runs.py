"""Reads runs for reports: the artifact and the files beside it.

Missing parts are None or empty. Nothing is computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError


@dataclass(frozen=True)
class MetricLog:
    """The metrics that a training run logged.

    Attributes:
        by_step: metrics by optimizer step; a step that a resumed run repeated counts once,
            with its last values.
        num_unreadable: lines that are not JSON objects with a step, such as a truncated last line.
    """

    by_step: Mapping[int, Mapping[str, Any]]
    num_unreadable: int

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Return the points (step, value) of a metric, in the order of the steps."""
        steps = sorted(self.by_step.items())
        return [(step, line[name]) for step, line in steps if line.get(name) is not None]


@dataclass(frozen=True)
class FinishedRun:
    """A run: its artifact and the files beside it in the run folder.

    Attributes:
        role: in the report, such as `pretrain`.
        artifact: its output.
        config: text of config.yaml, or None.
        plan: plan.json, or None.
        metrics: metrics.jsonl, or None.
        duration_s: wall time of the stage, from summary.json; None without one.
    """

    role: str
    artifact: Artifact
    config: str | None
    plan: Mapping[str, Any] | None
    metrics: MetricLog | None
    duration_s: float | None

    @property
    def recipe(self) -> str:
        """Name of the recipe."""
        return str(self.artifact.provenance["recipe"])


def read_run(role: str, artifact: Artifact) -> FinishedRun:
    """Read a run from its artifact and the files beside it.

    Raises:
        ArtifactError: a file exists but cannot be read.
    """
    folder = artifact.path.parent
    config, plan, summary = (folder / name for name in ("config.yaml", "plan.json", "summary.json"))
    return FinishedRun(
        role=role,
        artifact=artifact,
        config=config.read_text(encoding="utf-8") if config.is_file() else None,
        plan=read_json(plan) if plan.is_file() else None,
        metrics=_metrics(folder / "metrics.jsonl"),
        duration_s=read_json(summary)["seconds"] if summary.is_file() else None,
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtifactError: the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is not a JSON object")
    return content


def read_lines(path: Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Read a file with one JSON object per line.

    Args:
        path: of the file.
        limit: read only the first lines; None for all.

    Raises:
        ArtifactError: the file is missing or a line is not JSON.
    """
    try:
        with path.open(encoding="utf-8") as file:
            return [json.loads(line) for line in islice(file, limit)]
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from None


def _metrics(path: Path) -> MetricLog | None:
    if not path.is_file():
        return None
    by_step: dict[int, dict[str, Any]] = {}
    num_unreadable = 0
    with path.open(encoding="utf-8") as file:
        for text in file:
            try:
                line = json.loads(text)
                by_step.setdefault(line["step"], {}).update(line)
            except (ValueError, TypeError, KeyError):
                num_unreadable += 1
    return MetricLog(by_step, num_unreadable)
