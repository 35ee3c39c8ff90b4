"""The command itself in a terminal of its own: keys, streaming, Ctrl-C, the end."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ENGINE = '''
"""Writes numbers, ten a second, without an end."""

import itertools
import time

from musicllm.inference.engines import ENGINES, EngineKind
from musicllm.inference.requests import Completion


class Counting:
    context = 1000

    def count_tokens(self, prompt):
        return len(prompt)

    def write(self, requests, on_piece=None):
        for number in itertools.count():
            on_piece(0, f"\\x1b{number} ")
            time.sleep(0.1)
        yield 0, Completion("", 0, True, 0)

    def close(self):
        print("closed")


ENGINES.register(EngineKind("counting", lambda _: Counting(), False))
'''

START = """
import fcntl, runpy, termios

fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("musicllm", run_name="__main__")
"""
"""Makes the terminal that of the new process, so that its Ctrl-C is a signal, and runs musicllm."""


class Terminal:
    """A process in a pseudo-terminal, and all that it has written."""

    def __init__(self, folder: Path, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, *words],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True,
            env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        os.close(theirs)
        self.text = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str, *, times: int = 1, limit_s: float = 120) -> None:
        end = time.monotonic() + limit_s
        while self.text.count(text) < times:
            assert time.monotonic() < end, f"no {text!r} in {self.text}"
            if select.select([self._ours], [], [], 1)[0]:
                try:
                    self.text += os.read(self._ours, 1 << 16).decode(errors="replace")
                except OSError:  # the other end is closed
                    assert self.text.count(text) >= times, f"no {text!r} in {self.text}"

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    terminal = Terminal(
        tmp_path,
        "recipe=quickstart/chat", "inputs.model=model", "extensions=[engine.py]",
        "inference.engine=counting", "paths.cache=cache",
    )  # fmt: skip
    yield terminal
    terminal.close()


def test_a_conversation_in_a_terminal(terminal: Terminal, tmp_path: Path) -> None:
    terminal.wait_for("Ctrl-D ends")
    terminal.type("Count\r")
    terminal.wait_for("<U+001B>2 ")
    assert "\x1b2 " not in terminal.text
    terminal.type("\x03")
    terminal.wait_for("stopped; what is written is kept")
    terminal.type("/quit\r")
    terminal.wait_for("closed")
    assert terminal.process.wait(60) == 0
    (file,) = tmp_path.glob("runs/quickstart/chat/*/*/conversation.json")
    user, answer = json.loads(file.read_text())["messages"]
    assert user["content"] == "Count"
    assert answer["content"].startswith("\x1b0 \x1b1 \x1b2 ")
    assert answer["end"] == "stopped"
    assert "+Count" in (tmp_path / "cache" / "chat" / "history").read_text()
