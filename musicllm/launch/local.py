"""Runs commands as processes of this machine.

A process of its own for each: a crash, even one of the driver or for want of memory, ends that
command alone, and none leaves memory to the next.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from musicllm import console
from musicllm.schema import Config
from musicllm.train.interruption import REQUEUE_EXIT_CODE

PROGRAM = (sys.executable, "-m", "musicllm")
INTERVAL_S = 0.2
"""Seconds between two polls of a process."""

OUTPUT, ERRORS = "output.log", "errors.log"
"""Files of a command's standard output and standard error."""

TRACEBACK = "Traceback (most recent call last)"
SHOWN_LINES = 12
"""Last lines of a failed command's standard error that are shown."""


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


def why(logs: Path, code: int) -> str:
    """Return why a process failed, from its exit code and what it printed to standard error."""
    file = logs / ERRORS
    errors = file.read_text(encoding="utf-8", errors="replace").strip() if file.is_file() else ""
    if code in (REQUEUE_EXIT_CODE, 130):
        return f"it was stopped (exit code {code}); the same command continues"
    if code < 0:
        advice = ", which is often the system's answer to too little memory" if code == -9 else ""
        return f"it was killed by signal {-code}{advice}"
    if not errors:
        return f"it ended with exit code {code} and without a word; its output is in {logs}"
    lines = errors.splitlines()
    if TRACEBACK in errors:
        return f"{lines[-1]} (the traceback is in {file})"
    return "\n".join(lines[-SHOWN_LINES:])


class LocalRun:
    """A running process."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path | None) -> None:
        """Take the process; what it writes to `output` is shown here as well."""
        self._process = process
        self._output = output.open(encoding="utf-8", errors="replace") if output else None

    def poll(self) -> int | None:
        """Show what was printed since; return the exit code, or None while it runs."""
        code = self._process.poll()
        if self._output is not None:
            if text := self._output.read():
                console.say(text.removesuffix("\n"))
            if code is not None:
                self._output.close()
        return code

    def stop(self, number: int) -> None:
        """Pass on a signal; a terminal sends SIGINT to the process itself."""
        if number != signal.SIGINT:
            self._process.send_signal(number)


class Local:
    """Starts processes; see `sweep.main.Launcher`."""

    interval_s = INTERVAL_S
    waits_when_stopped = True

    def __init__(self, *, follow: bool, folders: Sequence[Path]) -> None:
        """Show what a job prints if `follow`; pass on the user's folders."""
        self._follow = follow
        self._folders = [f"--config-dir={folder}" for folder in folders]

    def start(
        self,
        words: Sequence[str],
        logs: Path,
        config: Config,  # noqa: ARG002
        recipe: str,  # noqa: ARG002
    ) -> LocalRun:
        """Start a command."""
        process = start([*words, *self._folders], logs)
        return LocalRun(process, logs / OUTPUT if self._follow else None)
