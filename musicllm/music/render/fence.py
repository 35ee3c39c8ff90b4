"""Runs a rendering engine where it can do no harm: limited, timed, in a folder of its own.

Tunes come from strangers and from language models, and the engines are C and C++ programs that
crash or run away on some of them. Each one therefore runs as a process with limits on time,
memory and file size, with almost no environment, and whatever goes wrong becomes a `RenderError`.

What it does not do: it hides neither the file system nor the network from the engine. No engine
reaches for either unless a tune tells it to, and `sanitize` removes what could tell it.

Linux enforces every limit. macOS ignores the one on memory. Systems without POSIX limits
(Windows outside WSL) are refused, because an unlimited engine is not an option.
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
"""Address space of an engine: three times what the hungriest needs for a long tune."""

FILE_BYTES = 32 << 20
"""Largest file an engine may write, standard output included."""

MAX_STDERR_BYTES = 64 << 10

_LAUNCHER = Path(__file__).with_name("_launch.py")
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_FIX = "check the tune's ABC, or make it shorter or simpler"


@dataclass(frozen=True)
class Completed:
    """What a program that ended well wrote.

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
    """Run a program under limits and wait for it; safe to call from any thread.

    Args:
        command: program and arguments.
        engine: the name by which error messages call it.
        cwd: a fresh folder, also its home and temporary folder.
        timeout_s: wall-clock limit in seconds; processor time is limited to as much.
        memory_bytes: limit on its address space.
        stdin: what it reads on standard input; nothing by default.

    Raises:
        RenderError: it crashed, ran too long, wrote too much, or ended with a non-zero status.
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
    """Return the command that runs one of this package's worker scripts with this Python."""
    return [sys.executable, "-P", str(Path(__file__).with_name(script))]


def last_line(text: bytes) -> str:
    """Return the last line of a program's output, printable and at most 200 characters long."""
    lines = text.decode("utf-8", "replace").strip().splitlines() or [""]
    return "".join(c for c in lines[-1] if c.isprintable())[:200]


def _environment(home: Path) -> dict[str, str]:
    """Return the variables an engine gets; workers import from where this process does."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    python_path = os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path if entry)
    folders = {"HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": python_path}
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**kept, **folders, **one_thread, "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and whatever it started, and collect it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _head(file: BinaryIO, max_bytes: int) -> bytes:
    file.seek(0)
    return file.read(max_bytes)


def _cause(status: int, stderr: bytes) -> str:
    """Say in words why a program ended with this status (negative: the signal that ended it)."""
    if status == -signal.SIGXFSZ:
        return f"wrote a file of more than {FILE_BYTES >> 20} MiB"
    if status < 0:
        return f"crashed ({signal.Signals(-status).name})"
    said = last_line(stderr)
    return f"failed with status {status}" + (f" ({said})" if said else "")
