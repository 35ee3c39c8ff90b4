"""One job of a sweep before it starts (words, folder) and after it ended (state, metrics).

Starts nothing. Every stage can be swept; jobs are compared by the metrics that it recorded.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from musicllm import artifacts, quoting
from musicllm.job import Job
from musicllm.launch import local, runner
from musicllm.train import metrics

DONE, UP_TO_DATE, FAILED = "done", "up to date", "failed"


@dataclass(frozen=True)
class Trial:
    """A job that is to be run.

    Attributes:
        number: of its draw.
        values: of the swept settings.
        words: the whole command after `python -m musicllm`, but for the user's folders.
        logs: folder of what it prints.
    """

    number: int
    values: Mapping[str, object]
    words: tuple[str, ...]
    logs: Path

    @property
    def title(self) -> str:
        """The swept settings, as they are written in a command."""
        return " ".join(f"{key}={value}" for key, value in self.values.items()) or "one job"


@dataclass(frozen=True)
class Result:
    """The result of a job.

    Attributes:
        trial: the job.
        state: done, up to date or failed.
        folder: the run folder, or None when it was not reached.
        use: the command that goes on with its artifact; empty without one.
        seconds: wall time of the stage, or None.
        metrics: numbers by name: of a training what it logged last, else what its artifact says.
        error: why it failed.
    """

    trial: Trial
    state: str
    folder: Path | None = None
    use: str = ""
    seconds: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


def make(number: int, values: Mapping[str, object], words: Sequence[str], sweep: Path) -> Trial:
    """Return a job whose folder is named by what it sweeps, so that a later call finds it again."""
    title = ",".join(f"{key}={value}" for key, value in values.items()) or "job"
    name = title
    if len(title) > 120 or not re.fullmatch(r"[\w.,=+-]+", title):
        name = re.sub(r"[^\w.,=+-]", "_", title)[:80] + "-" + artifacts.fingerprint(title)
    return Trial(number, values, tuple(words), sweep / name)


def result(trial: Trial, job: Job, *, code: int | None) -> Result:
    """Return the result of a job.

    Args:
        trial: the job.
        job: what it was bound to.
        code: exit code of its process; None when none was started.
    """
    state = UP_TO_DATE if code is None else DONE
    if not job.kind:
        error = local.why(trial.logs, code) if code else ""
        return Result(trial, FAILED if error else state, error=error)
    folder, artifact = job.folder, job.existing()
    if code or artifact is None:
        return Result(trial, FAILED, folder, error=local.why(trial.logs, code or 0))
    use = runner.next_command(artifact.kind, folder, job.config.hardware.name)
    use = use or quoting.typed("inputs.<role>", folder)
    return Result(trial, state, folder, use, _seconds(folder), _metrics(folder, artifact.facts))


def refused(trial: Trial, reason: str) -> Result:
    """Return the result of a job that could not be started; its folder holds the reason."""
    trial.logs.mkdir(parents=True, exist_ok=True)
    artifacts.write_text(trial.logs / local.ERRORS, reason + "\n")
    return Result(trial, FAILED, error=reason)


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    """Return the points (step, value) that a training logged."""
    lines = metrics.read(folder / "metrics.jsonl")
    return [(line["step"], line[name]) for line in lines if line.get(name) is not None]


def _metrics(folder: Path, facts: Mapping[str, object]) -> dict[str, float]:
    logged: dict[str, object] = {}
    for line in metrics.read(folder / "metrics.jsonl"):
        logged |= {name: value for name, value in line.items() if name != "step"}
    recorded = facts.get("metrics", {})
    assert isinstance(recorded, Mapping), "artifacts record metrics by name"
    numbers = logged or dict(recorded)
    return {
        name: value
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _seconds(folder: Path) -> float | None:
    try:
        seconds: float = json.loads((folder / "summary.json").read_text())["seconds"]
    except FileNotFoundError:
        return None
    return seconds
