"""Every command in the README and the guides composes and passes the checks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.sweep import space

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
COMMAND = re.compile(r"^ *(?:\.venv/bin/)?python -m musicllm((?: .*)?)$", re.MULTILINE)
COMMANDS = [
    (page.name, found.split(" #")[0])
    for page in PAGES
    for found in COMMAND.findall(page.read_text())
]


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_a_command_composes(page: str, words: str) -> None:
    if "<name>" in words or "--config-dir" in words:
        return
    words = words.replace("<fingerprint>", "0123456789ab")
    parts = [word for word in shlex.split(words) if not word.startswith("-")]
    if parts:
        swept = space.parse(parts)  # of a sweep, its first job
        check(config.load(swept.words(swept.corner()))[0])


def test_there_are_commands_and_the_first_two_are_the_makefile_s() -> None:
    assert len(COMMANDS) >= 10
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert named == ["quickstart", "test"]
    assert set(named) <= set(targets)
