"""The program in docs/TUNES.md runs, as a reader would run it; the page names every field."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")
pytest.importorskip("httpx", reason="httpx is not installed")

from musicllm.serve.api.tune_requests import FIELDS
from musicllm.serve.api.tunes import CheckBody, RenderBody
from musicllm.serve.tunes import findings, formats
from tests.browser.site import TUNE, ScriptedEngine, served, service_of

PAGE = (Path(__file__).parents[3] / "docs" / "TUNES.md").read_text("utf-8")
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def address() -> Iterator[str]:
    with served(service_of({"scripted": ScriptedEngine()})) as place:
        yield place


def test_the_program_runs(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert ADDRESS in program
    exec(compile(program.replace(ADDRESS, address), "TUNES.md", "exec"), {})
    lines = [line for line in capsys.readouterr().out.splitlines() if "ready after" not in line]
    assert lines[0] == "The Kettle, tune, G major, 6/8, 8 bars, all fit, form AABB, G4 to G5 []"
    names = [line.split()[0] for line in lines[1:4]]
    assert names == ["the-kettle.musicxml", "the-kettle.mid", "the-kettle.svg"]
    assert all(line.endswith(" bytes []") for line in lines[1:4])
    assert lines[4] == 'attachment; filename="the-kettle.pdf"'


def test_the_page_names_every_field() -> None:
    (tune,) = findings(TUNE)["tunes"]
    labels = {"user", "safety_identifier", "prompt_cache_key"}
    names = {*FIELDS, *CheckBody.model_fields, *RenderBody.model_fields, *tune, *formats()}
    assert not [name for name in names - labels if f"`{name}`" not in PAGE]
