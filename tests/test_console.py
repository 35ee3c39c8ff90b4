"""Without a terminal the output is plain text."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from musicllm import console


def test_lines_and_tables_are_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.heading("a [b] c")
    console.table("", ("key", "value"), [("x[0]", 1)])
    text = capsys.readouterr().out
    assert "a [b] c\n" in text
    assert "x[0]" in text
    assert "\x1b" not in text


def test_progress_without_a_terminal_prints_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 5.0, 20.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress("parsing tunes", total=100, unit="tune") as advance:
        advance(10)
        advance(30, note="half")
    assert capsys.readouterr().out == "parsing tunes: 40 of 100 tunes, 2.0/s, 30 s left  half\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_any_text_can_be_printed_whatever_the_encoding(encoding: str) -> None:
    script = (
        "from musicllm import console\n"
        "console.replace_unencodable()\n"
        "console.say('a─b │ Übung 曲 … ' + chr(0xDCE9))\n"
        "console.table('x', ('─', 'größe'), [('曲', 1)])\n"
        "console.note('♯')\n"
    )
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, env=env, check=True)
    line = done.stdout.decode(encoding).splitlines()[0]
    assert line == {
        "latin-1": "a-b | Übung \\u66f2 ... \\udce9",
        "ascii": "a-b | \\xdcbung \\u66f2 ... \\udce9",
        "utf-8": "a─b │ Übung 曲 … \\udce9",
    }[encoding]  # fmt: skip
