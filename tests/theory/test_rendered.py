"""Rendered tunes and the answers that follow from what was rendered."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import pytest
import soundfile

from musicllm.music.render.kinds.midi import abc_to_midi
from musicllm.theory.listening import INSTRUMENTS, KINDS, TEMPI, TONICS, Heard
from musicllm.theory.rendered import (
    TuneOf,
    TuneRenderer,
    notes_of,
    quarters_per_minute,
    without_chords,
)

ABC = """X:1
T:Steps
M:6/8
L:1/8
K:Amin
"Am"A2A B2B|c2c d2d|e2e f2f|"E"g2g a2a|"Am"A2A B2B|c2c d2d|e2e f2f|g2g a3|]
"""


def ask(heard: Heard) -> dict[str, str | None]:
    return {kind.name: kind.answer(heard) for kind in KINDS}


def test_answers_follow_from_what_is_heard() -> None:
    notes = tuple((number / 4, 60 + number) for number in range(20))
    heard = Heard("harp", "fast", 9, "minor", "6/8", notes)
    assert ask(heard) == {
        "instrument": "harp", "tempo": "fast", "register": "low", "number": "some", "tonic": "A",
        "mode": "minor", "metre": "in six eighths", "direction": "up",
    }  # fmt: skip
    high = tuple((time, 140 - pitch) for time, pitch in notes[:10])
    other = ask(Heard("piano", "slow", None, "dorian", "9/8", high))
    assert (other["direction"], other["register"], other["number"]) == ("down", "high", "few")
    assert (other["tonic"], other["mode"], other["metre"]) == (None, None, None)
    assert ask(Heard("piano", "slow", 0, "major", "4/4", notes[:1] * 2))["direction"] is None
    for kind in KINDS:
        assert len(set(kind.choices)) == len(kind.choices) >= 2


def test_chord_symbols_are_not_heard() -> None:
    midi = abc_to_midi(ABC).data
    assert len(notes_of(without_chords(midi))) == 31
    assert len(notes_of(midi)) > 31


def test_a_clip_is_what_its_record_says(tmp_path: Path) -> None:
    renderer = TuneRenderer(tmp_path / "work", num_clips=6, clip_s=4.0, seed=1)
    facts = renderer(TuneOf("tunes/1", "train", ABC))
    assert "problem" not in facts
    by_clip: dict[str, dict[str, str]] = {}
    for record in facts["records"]:
        assert record["answer"] in record["choices"]
        by_clip.setdefault(record["clip"], {})[record["task"]] = record["answer"]
    assert len(by_clip) == 6
    for clip, answers in by_clip.items():
        path = tmp_path / "work" / facts["folder"] / clip
        info = soundfile.info(path)
        assert 4.0 <= info.duration <= 5.1
        assert answers["metre"] == "in six eighths"
        assert answers["mode"] == "minor"
        assert answers["tonic"] in TONICS
        assert answers["instrument"] in INSTRUMENTS
        assert answers["tempo"] in TEMPI
    assert len({answers["tonic"] for answers in by_clip.values()}) > 1
    again = TuneRenderer(tmp_path / "other", num_clips=6, clip_s=4.0, seed=1)
    assert again(TuneOf("tunes/1", "train", ABC))["records"] == facts["records"]


def test_the_tempo_is_that_of_the_band() -> None:
    midi = abc_to_midi(ABC).data
    from musicllm.music.render.playing import Playing, played

    for quarters in TEMPI.values():
        factor = quarters / quarters_per_minute(midi)
        assert quarters_per_minute(played(midi, Playing(0, factor))) == pytest.approx(
            quarters, 1e-3
        )


def test_tunes_that_cannot_be_rendered_say_why(tmp_path: Path) -> None:
    renderer = TuneRenderer(tmp_path, num_clips=1, clip_s=4.0, seed=1)
    assert "problem" in renderer(TuneOf("a", "train", "no tune at all"))
    short = renderer(TuneOf("b", "train", "X:1\nL:1/8\nK:C\nC2D2|]\n"))
    assert "2 notes begin in 4 s" in short["problem"]


def test_midi_of_one_note_has_its_time() -> None:
    track = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=1_000_000, time=0),
            mido.Message("note_on", note=64, velocity=80, time=480),
            mido.Message("note_off", note=64, time=480),
        ]
    )
    buffer = io.BytesIO()
    mido.MidiFile(type=0, ticks_per_beat=480, tracks=[track]).save(file=buffer)
    assert notes_of(buffer.getvalue()) == [(1.0, 64)]
    assert quarters_per_minute(buffer.getvalue()) == 60.0
