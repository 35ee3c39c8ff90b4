"""Runs of which dashboards show the metrics: finished, interrupted, or still training.

Everything is read from the run folder: `metrics.jsonl`, `identity.json`, `plan.json`, `samples/`
and the names in `wandb/`. All but the first may be missing, and the last line of that may be
incomplete while a run writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from musicllm.errors import ArtifactError
from musicllm.report.runs import read_json
from musicllm.train import metrics
from musicllm.train.tunes import read_tunes

SAMPLES = "samples"
"""Name under which tunes are logged."""


@dataclass(frozen=True)
class WatchedRun:
    """A run of which metrics are shown.

    Attributes:
        label: by which people tell it from the others.
        folder: the run folder.
        fingerprint: of the job; empty if there is none.
        wandb_id: its id in wandb, or None if it was not logged there.
        settings: those that decide its result, by full name.
        plan: plan.json, or None.
        lines: of metrics.jsonl, in order.
        tune_steps: steps of which there are tunes in `samples/`.
        fault: what could not be read, with its file; empty if nothing.
    """

    label: str
    folder: Path
    fingerprint: str
    wandb_id: str | None
    settings: Mapping[str, Any]
    plan: Mapping[str, Any] | None
    lines: Sequence[metrics.Line]
    tune_steps: Sequence[int]
    fault: str = ""

    @cached_property
    def names(self) -> list[str]:
        """Names of what has a value: metrics in the order of their first line, then `samples`."""
        valued = (name for line in self.lines for name, value in line.items() if value is not None)
        found = dict.fromkeys(name for name in valued if name != "step")
        return [*found, *([SAMPLES] if self.tune_steps else [])]

    def matching(self, patterns: Sequence[str]) -> list[str]:
        """Return the names that patterns with `*` match, in the order of the patterns."""
        return list(
            dict.fromkeys(
                name for pattern in patterns for name in self.names if fnmatchcase(name, pattern)
            )
        )

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Return the points (step, value) of a metric."""
        return [(line["step"], line[name]) for line in self.lines if line.get(name) is not None]

    @property
    def waiting(self) -> Path | None:
        """The newest recording of wandb, if it was made offline and not uploaded since."""
        recording = _recording(self.folder)
        if recording is None or not recording.name.startswith("offline-"):
            return None
        return None if list(recording.glob("*.wandb.synced")) else recording

    @property
    def expected(self) -> Mapping[str, float]:
        """What the plan expects of metrics, by their names; empty without a plan."""
        planned = (self.plan or {}).get("expected") or {}
        return {f"perf/{name}": value for name, value in planned.items() if value is not None}


def read(folder: Path, label: str) -> WatchedRun:
    """Read a run from its folder.

    Raises:
        ArtifactError: the folder has no metrics, or a file cannot be read.
        OSError: the same of metrics.jsonl.
    """
    lines, damage = metrics.read_whole(folder / metrics.NAME)
    fault = "" if damage is None else f"{folder / metrics.NAME}: {damage}"
    if not lines and damage is not None:
        raise ArtifactError(f"{fault}; no line is left")
    if not lines:
        raise ArtifactError(
            f"{folder} has no metrics yet: {metrics.NAME} is missing or empty; name the folder of "
            f"a training that has begun; recipe=report with --watch waits for it"
        )
    record, recording = _json(folder / "identity.json") or {}, _recording(folder)
    settings = _mapping(record, "decides", "settings", path=folder / "identity.json")
    return WatchedRun(
        label=label,
        folder=folder,
        fingerprint=str(record.get("fingerprint", "")),
        wandb_id=None if recording is None else recording.name.rpartition("-")[2],
        settings=settings,
        plan=_plan(folder / "plan.json"),
        lines=lines,
        tune_steps=[step for step, _ in read_tunes(folder)],
        fault=fault,
    )


def _json(path: Path) -> dict[str, Any] | None:
    """Return the content of a file, or None if there is none."""
    return read_json(path) if path.is_file() else None


def _plan(path: Path) -> dict[str, Any] | None:
    """Return a plan whose numbers are numbers, or None if there is none."""
    plan = _json(path)
    if plan is None:
        return None
    numbers = {"num_steps": plan.get("num_steps"), **_mapping(plan, "expected", path=path)}
    for name, value in numbers.items():
        if value is not None and not isinstance(value, int | float):
            raise ArtifactError(f"{path} cannot be read: {name} is not a number")
    return plan


def _mapping(content: Mapping[str, Any], *names: str, path: Path) -> Mapping[str, Any]:
    """Return a part of a JSON object, empty if it is missing."""
    for name in names:
        content = content.get(name) or {}
        if not isinstance(content, dict):
            raise ArtifactError(f"{path} cannot be read: {name} is not a JSON object")
    return content


def _recording(folder: Path) -> Path | None:
    """Return the newest recording of wandb, `[offline-]run-<time>-<id>`, if there is one."""
    recordings = folder.glob("wandb/*run-*-*")
    return max(recordings, key=lambda path: path.stat().st_mtime, default=None)


def differing(runs: Sequence[WatchedRun]) -> list[str]:
    """Return the full names of settings with a plain value that is not the same in all runs."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    return [name for name in names if _differs([run.settings.get(name) for run in runs])]


def _differs(values: Sequence[Any]) -> bool:
    plain = all(value is None or isinstance(value, str | int | float) for value in values)
    return plain and any(value != values[0] for value in values)
