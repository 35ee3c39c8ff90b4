from __future__ import annotations

import io
import shutil
from pathlib import Path
from types import SimpleNamespace

import mido
import pytest

from musicllm.errors import RenderError
from musicllm.music.render.kinds import midi as midi_module
from musicllm.music.render.kinds.midi import abc_to_midi, find_abc2midi, truncate


def notes(data: bytes) -> list[tuple[int, float, bool]]:
    """Return (pitch, time in seconds, starts) for every note message."""
    time_s, found = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(data)):
        time_s += message.time
        if message.type in ("note_on", "note_off"):
            starts = message.type == "note_on" and message.velocity > 0
            found.append((message.note, round(time_s, 2), starts))
    return found


def test_pitches_times_and_duration() -> None:
    midi = abc_to_midi("X:1\nM:4/4\nL:1/4\nQ:1/4=60\nK:G\nG A F2|\n")
    starts = [(pitch, time_s) for pitch, time_s, on in notes(midi.data) if on]
    assert starts == [(67, 0.0), (69, 1.0), (66, 2.0)]
    assert midi.num_notes == 3
    assert midi.duration_s == pytest.approx(4.0, abs=0.1)


def test_repeats_are_played(reel: str) -> None:
    midi = abc_to_midi(reel.replace('"D"', ""))
    assert midi.num_notes == 30
    assert midi.duration_s == pytest.approx(8.0, abs=0.1)


def test_does_not_read_files_that_a_tune_names(tmp_path: Path) -> None:
    secret = tmp_path / "secret.abc"
    secret.write_text("cdef|\n")
    tune = f"X:1\nM:4/4\nL:1/4\nK:C\nCDEF|\n%%abc-include {secret}\n"
    assert abc_to_midi(tune).num_notes == 4


@pytest.mark.parametrize(
    ("abc", "message"),
    [
        ("Hello, I am a model.", r"abc2midi made no MIDI \(Error in line-char .* No valid K:"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nz4|\n", "the tune has no notes to play"),
        ("X:1\nM:4/4\nL:1/4\nK:C\nC4|Z9999|\n", "claims 20,00. s, more than 3,600 s"),
        (
            "X:1\nL:1/8\nP:" + "(" * 200 + "A" + ")9" * 200 + "\nK:C\nP:A\nCDEF|",
            r"abc2midi crashed \(SIG|MIDI claims|damaged|did not finish",
        ),
    ],
)
def test_says_why_there_is_no_midi(abc: str, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        abc_to_midi(abc)


def test_a_huge_file_is_refused(reel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midi_module, "MAX_BYTES", 100)
    with pytest.raises(RenderError, match="bytes, more than 100; shorten it"):
        abc_to_midi(reel)


def test_the_program_of_the_wheel_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_abc2midi().parent.parent.name == "symusic"
    monkeypatch.setattr(
        midi_module.importlib.util, "find_spec", lambda _: SimpleNamespace(origin=str(tmp_path))
    )
    monkeypatch.setattr(shutil, "which", lambda _: "/opt/bin/abc2midi")
    assert find_abc2midi() == Path("/opt/bin/abc2midi")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RenderError, match="abc2midi is not here: install `symusic`"):
        find_abc2midi()


def test_shorten_ends_the_notes_that_sound() -> None:
    midi = abc_to_midi("X:1\nM:4/4\nL:1/4\nQ:1/4=60\nK:C\n[CE]4|G4|\n")
    found = notes(truncate(midi.data, 2.5))
    assert [(pitch, on) for pitch, _, on in found] == [
        (60, True),
        (64, True),
        (60, False),
        (64, False),
    ]
    assert [time_s for _, time_s, _ in found] == pytest.approx([0, 0, 2.5, 2.5], abs=0.05)


def test_shorten_keeps_a_short_tune(reel: str) -> None:
    midi = abc_to_midi(reel)
    assert notes(truncate(midi.data, 90)) == notes(midi.data)
