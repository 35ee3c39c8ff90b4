"""Files of many tunes: what is made, what is wrong with it, and renderers of the user's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from musicllm.errors import RenderError
from musicllm.music.render import RENDERERS, Rendering
from musicllm.registry import load_extensions
from musicllm.serve import renderings
from musicllm.serve.renderings import Job, render_answers, stem
from musicllm.serve.stream import Stream
from tests.examples import EXAMPLES

JIG = "X:1\nR:jig\nM:6/8\nL:1/8\nK:G\nGAB dBG | GAB d3 | edB dBA | G3 G3 |]"


def rendered(folder: Path, renderers: Sequence[str], *tunes: str | None) -> list[dict[str, Any]]:
    """Render the tunes of one answer."""
    with Stream(folder / "rendered.jsonl", 1) as stream:
        render_answers(iter([Job(0, "001", tunes)]), renderers, stream, lambda *_: None)
        result: list[dict[str, Any]] = stream.read((0, 0))["tunes"]
    return result


def test_score_midi_and_sound_are_made_of_every_tune_that_parses(tmp_path: Path) -> None:
    first, none, third = rendered(tmp_path, ["score", "sound"], JIG, None, JIG)
    files = {path.name for path in (tmp_path / "tunes").iterdir()}
    assert files == set(first["files"]) | set(third["files"])
    suffixes = (".abc", ".svg", ".mid", ".wav", ".mp3")  # sound is made of MIDI
    assert {f"001{suffix}" for suffix in suffixes} <= set(first["files"])
    assert {f"001-3{suffix}" for suffix in suffixes} <= set(third["files"])
    assert first["problems"] == []
    assert first["sound_engine"] is not None
    assert first["editor_link"].startswith("https://editor.drawthedots.com/?t=X%3A1")
    assert (none["files"], none["editor_link"]) == ([], None)
    assert (tmp_path / "tunes" / "001.abc").read_text() == JIG + "\n"
    assert [stem("7", place) for place in range(3)] == ["7", "7-2", "7-3"]


def test_only_the_renderers_that_are_named_run(tmp_path: Path) -> None:
    (tune,) = rendered(tmp_path, ["MIDI"], JIG)
    assert tune["files"] == ["001.abc", "001.mid"]


def test_a_tune_that_cannot_be_rendered_is_kept_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Rendering:
        raise RenderError("verovio crashed")

    def refuse_link(_: str) -> str:
        raise RenderError("no link")

    monkeypatch.setattr(renderings, "render_tune", refuse)
    monkeypatch.setattr(renderings, "editor_link", refuse_link)
    (tune,) = rendered(tmp_path, ["score"], JIG)
    assert tune["problems"] == ["no link", "verovio crashed"]
    assert tune["files"] == ["001.abc"]


def test_rendering_problems_and_engine_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = Rendering(JIG, tmp_path, "001", {}, ["no score: it broke"], "pretty_midi")
    monkeypatch.setattr(renderings, "render_tune", lambda *_, **__: rendering)
    (tune,) = rendered(tmp_path, ["score"], JIG)
    assert tune["problems"] == ["no score: it broke"]
    assert tune["sound_engine"] == "pretty_midi"


def test_a_renderer_from_outside_the_package_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RENDERERS, "_kinds", {**RENDERERS})
    (tmp_path / "staves.py").write_text(EXAMPLES["staves.py"])
    load_extensions([str(tmp_path / "staves.py")])
    (tune,) = rendered(tmp_path, ["staff"], JIG)
    assert tune["files"] == ["001.abc", "001.txt"]
    assert "●" in (tmp_path / "tunes" / "001.txt").read_text(encoding="utf-8")
