"""A command whose stage takes no time, in place of the real one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from musicllm.launch import local

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Words of a job that the stand-in runs; the swept settings are to be added."""
    monkeypatch.setattr(local, "PROGRAM", (sys.executable, str(ROOT / "tests/sweep/stand_in.py")))
    monkeypatch.setattr(local, "INTERVAL_S", 0.02)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return ["recipe=quickstart/prepare", f"paths.runs={tmp_path / 'runs'}"]
