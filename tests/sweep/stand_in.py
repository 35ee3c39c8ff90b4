"""Stands in for `python -m musicllm`: the real command, with a stage that takes no time.

Its loss is smallest at `data.validation_fraction=0.2`. With `data.max_length=666` it is a bug, with
667 a mistake of the user; with 668 it waits for a signal, saves, and is ready when started again;
with 669 the system kills it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import ModuleType

from musicllm import cli, console
from musicllm.errors import StageError
from musicllm.job import Job
from musicllm.train import metrics
from musicllm.train.interruption import Interruption


def run(job: Job) -> list[tuple[str, object]]:
    data = job.config.data
    if data.max_length == 666:
        raise RuntimeError("a bug of ours")
    if data.max_length == 667:
        raise StageError("the disk is full")
    if data.max_length == 669:
        os.kill(os.getpid(), signal.SIGKILL)
    if data.max_length == 668 and not (job.folder / "saved").exists():
        _wait_for_a_signal(job)
    distance = (data.validation_fraction - 0.2) ** 2
    for step in (1, 2):
        metrics.append(job.folder / "metrics.jsonl", step, {"train/loss": 3 - step + distance})
    metrics.append(job.folder / "metrics.jsonl", 2, {"val/loss": 1 + distance})
    with job.writing() as (folder, facts):
        (folder / "rows").write_text("1 2 3")
        facts["metrics"] = {"rows": 3}
    return [("rows", 3)]


def _wait_for_a_signal(job: Job) -> None:
    interruption = Interruption()
    interruption.listen()
    (job.folder / "ready").touch()
    while interruption.signal is None:
        time.sleep(0.02)
    (job.folder / "saved").touch()
    console.note(f"saved after signal {signal.Signals(interruption.signal).name}")
    raise SystemExit(interruption.exit_code)


if __name__ == "__main__":
    module = ModuleType("musicllm.stages.prepare")
    module.run = run  # type: ignore[attr-defined]
    sys.modules["musicllm.stages.prepare"] = module
    sys.exit(cli.main())
