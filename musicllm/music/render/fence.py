"""Runs rendering engines in limited processes, with a timeout, each in a folder of its own.

Tunes come from users and from language models, and the engines are C and C++ programs that
crash or hang on some of them. Each one therefore runs as a process with limits on time,
memory and file size, and with a minimal environment; every failure becomes a `RenderError`.

This is not a sandbox: the engine can reach the file system and the network. No engine
uses either unless the tune contains directives for it, which `sanitize` removes.

Linux enforces every limit. macOS ignores the memory limit. Systems without POSIX limits
(Windows outside WSL) are not supported, because engines never run without limits.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from musicllm.errors import RenderError

MEMORY_BYTES = 1 << 30
"""Address space of an engine: three times the most that any needs for a long tune."""

FILE_BYTES = 32 << 20
"""Largest file that an engine may write, including standard output."""

MAX_STDERR_BYTES = 64 << 10

_LAUNCHER = Path(__file__).with_name("_launch.py")
_PASSED_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_FIX = "check the tune's ABC, or make it shorter or simpler"


@dataclass(frozen=True)
class Completed:
    """The output of a program that succeeded.

    Attributes:
        stdout: standard output, at most `FILE_BYTES`.
        stderr: the first `MAX_STDERR_BYTES` of standard error.
    """

    stdout: bytes
    stderr: bytes


def run_limited(
    command: Sequence[str],
    *,
    engine: str,
    cwd: Path,
    timeout_s: float,
    memory_bytes: int = MEMORY_BYTES,
    stdin: bytes | None = None,
) -> Completed:
    """Run a program under limits and wait for it; thread-safe.

    Args:
        command: program and arguments.
        engine: its name in error messages.
        cwd: an empty folder, also its home and temporary folder.
        timeout_s: limit on wall time and CPU time, in seconds.
        memory_bytes: limit on the address space.
        stdin: standard input; empty by default.

    Raises:
        RenderError: it crashed, timed out, wrote too much, or returned a non-zero status.
    """
    if os.name != "posix":
        raise RenderError(f"{engine} runs only under POSIX limits: use Linux, macOS or WSL")
    limits = (math.ceil(timeout_s), memory_bytes, FILE_BYTES)
    launch = [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, limits), *command]
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            launch,
            cwd=cwd,
            env=_environment(cwd),
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            raise RenderError(
                f"{engine} did not finish within {timeout_s:g} s and was stopped; {_FIX}"
            ) from None
        finally:
            _end(process)
        result = Completed(_head(stdout, FILE_BYTES), _head(stderr, MAX_STDERR_BYTES))
    if process.returncode:
        raise RenderError(f"{engine} {_cause(process.returncode, result.stderr)}; {_FIX}")
    return result


def python_worker(script: str) -> list[str]:
    """Return the command that runs a worker script of this package with the current Python."""
    return [sys.executable, "-P", str(Path(__file__).with_name(script))]


def last_line(text: bytes) -> str:
    """Return the printable characters, at most 200, of the last line of a program's output."""
    lines = text.decode("utf-8", "replace").strip().splitlines() or [""]
    return "".join(c for c in lines[-1] if c.isprintable())[:200]


def _environment(home: Path) -> dict[str, str]:
    """Return the environment of an engine; workers get the import path of this process."""
    passed = {name: os.environ[name] for name in _PASSED_VARIABLES if name in os.environ}
    python_path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    folders = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": python_path}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {
        **passed,
        **folders,
        **one_thread,
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group, and wait for the process."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _head(file: BinaryIO, max_bytes: int) -> bytes:
    file.seek(0)
    return file.read(max_bytes)


def _cause(status: int, stderr: bytes) -> str:
    """Describe why a program ended with this status (negative: a signal)."""
    if status == -signal.SIGXFSZ:
        return f"wrote a file of more than {FILE_BYTES >> 20} MiB"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    message = last_line(stderr)
    return f"failed with status {status}" + (f" ({message})" if message else "")
