"""The parts, their time limits and order, and how they are run.

Parts that are right or wrong run several at a time; those that measure speed run alone, after them,
the most wanted figures first. Imports nothing but the standard library.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.gpu.check.finding import Finding, read

LIMIT_S = 480.0
"""Seconds of the whole check."""

DRY_FACTOR = 10
"""How much longer a part may take on a CPU."""

AT_ONCE = max(1, min(6, (os.cpu_count() or 1) // 3))
"""Parts that run beside each other on a GPU; each starts with ten seconds of imports."""


@dataclass(frozen=True)
class Planned:
    """A part and its place.

    Attributes:
        name: of the module.
        limit_s: seconds after which it is stopped.
        alone: it measures speed, so that no other runs beside it.
        package: of the module.
    """

    name: str
    limit_s: float
    alone: bool = False
    package: str = "tests.gpu.check.parts"


PARTS = (
    Planned("device", 30, alone=True),
    Planned("attention", 60),
    Planned("flex", 150),
    Planned("training", 120),
    Planned("memory", 150),
    Planned("loss", 60),
    Planned("nf4", 90),
    Planned("inference", 60),
    Planned("zero", 90),
    Planned("llama2_7b", 130, alone=True),
    Planned("qwen3_8b", 80, alone=True),
    Planned("small_models", 110, alone=True),
    Planned("kernels", 60, alone=True),
    Planned("decoding", 40, alone=True),
)


@dataclass(frozen=True)
class Outcome:
    """What a part came to.

    Attributes:
        name: of the part.
        state: done, out of time, not started, or how its process ended.
        seconds: that it took.
        findings: as far as it came.
    """

    name: str
    state: str
    seconds: float
    findings: tuple[Finding, ...] = ()


def run(
    parts: Sequence[Planned], folder: Path, *, dry: bool, limit_s: float = LIMIT_S
) -> Iterator[Outcome]:
    """Run parts, and yield each as it ends; one that ends badly does not keep others from running.

    Args:
        parts: in their order; those that do not run alone start first in their stretch.
        folder: for the findings, logs and files of each part.
        dry: with tiny shapes on a CPU.
        limit_s: seconds of all parts together.
    """
    ends = time.monotonic() + limit_s
    waiting = list(parts)
    while waiting:
        if waiting[0].alone:
            yield _run(waiting.pop(0), folder, ends, dry=dry)
            continue
        together = []
        while waiting and not waiting[0].alone:
            together.append(waiting.pop(0))
        with ThreadPoolExecutor(1 if dry else AT_ONCE) as pool:
            running = [pool.submit(_run, part, folder, ends, dry=dry) for part in together]
            yield from (done.result() for done in as_completed(running))


def _run(part: Planned, folder: Path, ends: float, *, dry: bool) -> Outcome:
    """Run a part in a process group of its own, and end the group at the limit."""
    began = time.monotonic()
    limit_s = min(part.limit_s * (DRY_FACTOR if dry else 1), ends - began)
    if limit_s <= 1:
        return Outcome(part.name, "not started: the time of the check was over", 0.0)
    file, log = folder / f"{part.name}.jsonl", folder / f"{part.name}.log"
    words = [sys.executable, "-m", "tests.gpu.check", "--folder", str(folder)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*words, "--part", f"{part.package}.{part.name}", *(["--dry"] if dry else [])],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"},
        )
        try:
            state = _state(process.wait(limit_s), log)
        except subprocess.TimeoutExpired:
            state = f"out of time after {limit_s:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # also what it left behind
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Outcome(part.name, state, time.monotonic() - began, tuple(read(file)))


def _state(code: int, log: Path) -> str:
    if code == 0:
        return "done"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"ended with code {code}: {lines[-1][:200] if lines else 'no word'}"
