from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from musicllm.errors import RenderError
from musicllm.music import render
from musicllm.music.render import render_tune
from musicllm.music.render.kinds import midi as midi_module
from musicllm.music.render.kinds import sound as sound_module
from musicllm.music.render.kinds import svg as svg_module


def fail(*_: object) -> str:
    raise RenderError("the engine is on strike")


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_module, "sampler", lambda: None)
    monkeypatch.delenv("MUSICLLM_SOUNDFONT", raising=False)


@pytest.mark.usefixtures("plain")
def test_makes_all_files(tmp_path: Path, reel: str) -> None:
    made = render_tune(reel, tmp_path / "new", "tune")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "tune.mid",
        "tune.mp3",
        "tune.musicxml",
        "tune.svg",
        "tune.wav",
    ]
    assert made.files[".svg"].read_text().startswith("<svg ")
    assert made.files[".mid"].read_bytes().startswith(b"MThd")
    assert (made.sound_engine, made.problems) == ("pretty_midi", [])
    assert soundfile.info(made.files[".wav"]).duration == pytest.approx(9.0, abs=0.1)


@pytest.mark.usefixtures("plain")
def test_a_missing_score_does_not_stop_the_sound(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svg_module, "abc_to_svg", fail)
    made = render_tune(reel, tmp_path, "tune")
    assert set(made.files) == {".mid", ".wav", ".mp3", ".musicxml"}
    assert made.problems == ["no score: the engine is on strike"]


def test_missing_midi_leaves_the_score(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(midi_module, "abc_to_midi", fail)
    made = render_tune(reel, tmp_path, "tune")
    assert (set(made.files), made.sound_engine) == ({".svg", ".musicxml"}, None)
    assert made.problems == ["no MIDI and no sound: the engine is on strike"]


def test_missing_sound_leaves_score_and_midi(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_module, "midi_to_sound", fail)
    made = render_tune(reel, tmp_path, "tune")
    assert set(made.files) == {".svg", ".mid", ".musicxml"}
    assert made.problems == ["no sound: the engine is on strike"]


@pytest.mark.usefixtures("plain")
def test_a_cut_sound_is_reported(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sound_module, "MAX_DURATION_S", 5.0)
    made = render_tune(reel, tmp_path, "tune")
    assert made.problems == ["the sound stops after 5 of 8 s"]
    assert soundfile.info(made.files[".wav"]).duration == 5.0


@pytest.mark.usefixtures("plain")
def test_limits_of_this_installation_are_reported(
    tmp_path: Path, reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSICLLM_SOUNDFONT", "/my.sf2")
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"WAV": "WAV"})
    assert render_tune(reel, tmp_path, "tune").problems == [
        "MUSICLLM_SOUNDFONT has no effect: neither fluidsynth nor tinysoundfont is installed",
        "no MP3: this libsndfile cannot write it (1.1 or later can)",
    ]


def test_raises_only_when_nothing_can_be_made(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"no score: .*; no MIDI and no sound: abc2midi made no"):
        render_tune("Sorry, I cannot write music.", tmp_path, "tune")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("plain")
def test_a_png_is_made_when_it_is_named(tmp_path: Path, reel: str) -> None:
    made = render_tune(reel, tmp_path, "tune", also=("PNG",))
    assert made.first(".png", ".svg") == tmp_path / "tune.png"
    assert made.files[".png"].read_bytes().startswith(b"\x89PNG")


def test_importing_the_package_loads_no_engine() -> None:
    code = (
        "import sys, musicllm.music.render\n"
        "heavy = {'numpy', 'mido', 'soundfile', 'pretty_midi', 'symusic', 'verovio', 'music21'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(render.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
