"""Runs jobs as processes of this machine.

A process of its own for each job: a crash, even one of the driver or for want of memory, ends that
job alone, and no job leaves memory to the next.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from musicllm import console
from musicllm.schema import Config
from musicllm.sweep.trial import ERRORS, OUTPUT, Trial

PROGRAM = (sys.executable, "-m", "musicllm")
INTERVAL_S = 0.2


def start(
    words: Sequence[str],
    logs: Path,
    *,
    mode: str = "w",
    own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command as a process that prints into files.

    Args:
        words: after `python -m musicllm`.
        logs: folder of the files.
        mode: `w`, or `a` to keep what was printed before.
        own_session: no signal reaches the process but those sent to it alone.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / OUTPUT).open(mode) as output, (logs / ERRORS).open(mode) as errors:
        return subprocess.Popen(
            [*PROGRAM, *words],
            stdout=output,
            stderr=errors,
            start_new_session=own_session,
        )


class LocalRun:
    """A process at work."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path | None) -> None:
        """Take the process; what it writes to `output` is shown here as well."""
        self._process = process
        self._output = output.open(encoding="utf-8", errors="replace") if output else None

    def poll(self) -> int | None:
        """Show what was printed since; return the exit code, or None while it works."""
        code = self._process.poll()
        if self._output is not None:
            if text := self._output.read():
                console.say(text.removesuffix("\n"))
            if code is not None:
                self._output.close()
        return code

    def stop(self, number: int) -> None:
        """Hand on a signal; a terminal sends SIGINT to the process itself."""
        if number != signal.SIGINT:
            self._process.send_signal(number)


class Local:
    """Starts processes; see `main.Launcher`."""

    interval_s = INTERVAL_S
    waits_when_stopped = True

    def __init__(self, *, follow: bool, folders: Sequence[Path]) -> None:
        """Show what a job prints if `follow`; pass on the user's folders."""
        self._follow = follow
        self._folders = [f"--config-dir={folder}" for folder in folders]

    def start(self, trial: Trial, config: Config, recipe: str) -> LocalRun:  # noqa: ARG002
        """Start a job."""
        process = start([*trial.words, *self._folders], trial.logs)
        return LocalRun(process, trial.logs / OUTPUT if self._follow else None)
