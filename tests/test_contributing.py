"""The examples of CONTRIBUTING.md register their kinds; the tests of the rooms use them in runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from musicllm import config
from musicllm.checks import check
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.model.export import EXPORTERS
from musicllm.music.render import RENDERERS
from musicllm.registry import Registry, load_extensions
from musicllm.synthesis.kind import SYNTHESES
from musicllm.train.callbacks import CALLBACKS
from musicllm.train.loggers import LOGGERS
from musicllm.train.optimizers import OPTIMIZERS
from tests.examples import CONTRIBUTING, EXAMPLES

COMMANDS = re.findall(
    r"^python -m musicllm (.*extensions=.*)$", CONTRIBUTING.replace("\\\n", " "), re.MULTILINE
)
KINDS: dict[str, Registry[Any]] = {
    "phrases": BENCHMARK_KINDS,
    "descent": OPTIMIZERS,
    "sheet": LOGGERS,
    "count": CALLBACKS,
    "titles": SYNTHESES,
    "staff": RENDERERS,
    "arrays": EXPORTERS,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples in a folder of the user's own; their kinds go when the test is over."""
    for registry in KINDS.values():
        monkeypatch.setattr(registry, "_kinds", {**registry})
    own = tmp_path / "my_kinds"
    own.mkdir()
    for name, text in EXAMPLES.items():
        (own / name).write_text(text, encoding="utf-8")
    return own


def test_every_example_registers_its_kind(folder: Path) -> None:
    assert len(EXAMPLES) == len(KINDS)
    assert COMMANDS
    assert not any(name in registry for name, registry in KINDS.items())
    load_extensions([str(folder)])
    assert all(name in registry for name, registry in KINDS.items())


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_with_them_passes_the_checks(folder: Path, words: str) -> None:
    settings, _ = config.load(shlex.split(words.replace("my_kinds", str(folder))))
    check(settings)
