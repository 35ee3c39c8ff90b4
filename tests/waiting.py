"""Waiting for what another process does, for as long as a busy machine may need."""

from __future__ import annotations

import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import psutil

PATIENCE_S = 300.0
"""Ends a test that hangs; no assertion is about time."""


def has_ended(pid: int) -> bool:
    """Tell whether a process has ended; a zombie that nobody collected has ended, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_for(
    happened: Callable[[], Any], process: Popen[Any] | None = None, interval_s: float = 0.02
) -> Any:
    """Return what the call returns once that is true.

    Args:
        happened: asked again and again.
        process: must not end before.
        interval_s: between two calls.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := happened()):
        assert process is None or process.poll() is None, "the process ended before"
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(interval_s)
    return answer
