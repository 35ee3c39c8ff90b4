from __future__ import annotations

import os
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from musicllm.errors import RenderError
from musicllm.music.render import fence
from musicllm.music.render.fence import Completed, run_limited
from tests.waiting import has_ended, wait_for


def run_python(code: str, cwd: Path, timeout_s: float = 20.0, **limits: int) -> Completed:
    command = [sys.executable, "-S", "-c", code]
    return run_limited(command, engine="engine", cwd=cwd, timeout_s=timeout_s, **limits)


def test_passes_input_and_output(tmp_path: Path) -> None:
    code = "import sys; print(sys.stdin.read()[::-1], end=''); print('hm', file=sys.stderr)"
    command = [sys.executable, "-S", "-c", code]
    done = run_limited(command, engine="engine", cwd=tmp_path, timeout_s=20, stdin=b"abc")
    assert done == Completed(b"cba", b"hm\n")


def test_the_engine_sees_only_its_folder_and_few_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    code = "import os; print(os.getcwd(), os.environ['HOME'], 'SECRET_TOKEN' in os.environ)"
    assert run_python(code, tmp_path).stdout.decode().split() == [
        str(tmp_path),
        str(tmp_path),
        "False",
    ]


def test_a_program_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; from pathlib import Path\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "Path('pid').write_text(str(child.pid)); time.sleep(60)"
    )
    with pytest.raises(RenderError, match=r"^engine did not finish within 1.5 s and was stopped"):
        run_python(code, tmp_path, timeout_s=1.5)
    wait_for(partial(has_ended, int((tmp_path / "pid").read_text())))


def test_a_crash_names_the_signal(tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(RenderError, match=r"^engine crashed \(SIGSEGV\); check the tune's ABC"):
        run_python(code, tmp_path)


def test_a_failure_shows_what_the_program_said(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"^engine failed with status 1 \(no such clef\); check"):
        run_python("import sys; sys.exit('first line\\nno such clef')", tmp_path)


def test_memory_is_limited(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="MemoryError"):
        run_python("bytearray(1 << 30)", tmp_path, memory_bytes=512 << 20)


def test_every_limit_is_set(tmp_path: Path) -> None:
    code = (
        "from resource import *\n"
        "for kind in (RLIMIT_CORE, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_AS): print(*getrlimit(kind))"
    )
    memory = 512 << 20
    done = run_python(code, tmp_path, timeout_s=6.5, memory_bytes=memory)
    limits = [line.split() for line in done.stdout.decode().splitlines()]
    assert limits == [[str(n)] * 2 for n in (0, 7, fence.FILE_BYTES, memory)]


def test_files_and_output_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "FILE_BYTES", 1 << 20)
    program = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
    for code in ("print('x' * (2 << 20))", "open('f', 'w').write('x' * (2 << 20))"):
        with pytest.raises(RenderError, match="wrote a file of more than 1 MiB"):
            run_python(program + code, tmp_path)


def test_works_from_several_threads(tmp_path: Path) -> None:
    results: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: results.append(run_python("print(7)", tmp_path).stdout))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [b"7\n"] * 3


def test_systems_without_limits_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "name", "nt")
    try:
        with pytest.raises(RenderError, match="use Linux, macOS or WSL"):
            run_python("", tmp_path)
    finally:
        monkeypatch.undo()
