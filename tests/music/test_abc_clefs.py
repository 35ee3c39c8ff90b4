from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import mido
import pytest

from musicllm.music.abc import AbcError, Score, canonical, parse
from musicllm.music.abc.clefs import NO_SHIFT, Shift, may_shift, read_shift, voice_shift
from musicllm.music.analysis import melodic_fingerprint
from musicllm.music.render import abc_to_midi, abc_to_svg
from musicllm.music.render.kinds.midi import find_abc2midi
from musicllm.music.transform import transpose

_PLACE = re.compile(r"translate\([^)]*\)")
HEAD = "X:1\nL:1/4\nM:4/4\n"
TWO = "V:1 clef=treble-8\nV:2 bass transpose=-2\nK:C\nV:1\nCDEF|\nV:2\nCDEF|"
AS_ABC2MIDI = [
    ("K:C clef=treble-8\nCDEF|", [48, 50, 52, 53]),
    ("K:C clef=treble+8\nCDEF|", [72, 74, 76, 77]),
    ("K:C treble-15\nCDEF|", [36, 38, 40, 41]),
    ("K:C clef=treble_8\nCDEF|", [60, 62, 64, 65]),
    ("K:C clef=treble^8\nCDEF|", [60, 62, 64, 65]),
    ("K:C clef=bass middle=d\nCDEF|", [60, 62, 64, 65]),
    ("K:C octave=-1\nCDEF|", [48, 50, 52, 53]),
    ("K:C transpose=-2\nCDEF|", [58, 60, 62, 63]),
    ("K:C transpose=-2\nCD|[K:D]EF|", [58, 60, 62, 64]),
    ('K:C\nV:1 treble-8 nm="+8" snm="bass"\nCDEF|', [48, 50, 52, 53]),
    ("K:C\nV:1 octave=-1\nCD|[K:clef=bass]EF|", [48, 50, 52, 53]),
    ("K:C\nV:1 transpose=3\nCD|[V:1]EF|", [63, 65, 67, 68]),
    ("K:C\nCD|[K:C clef=treble-8]EF|", [60, 62, 52, 53]),
    ("K:C clef=treble-8\nCD|[K:G]EF|", [48, 50, 52, 54]),
    ("K:C clef=treble-8\nV:1\nCD|\nV:2\nEF|", [48, 50, 52, 53]),
    ("K:C\nV:1 treble-8\nV:2 bass\nV:1\nCD|\nV:2\nEF|", [48, 50, 64, 65]),
    ("V:1\nV:2 clef=treble-8\nK:C\nV:1\nCD|\nV:2\nEF|", [60, 62, 52, 53]),
]
OTHER_THAN_ABC2MIDI = [
    ("V:1 clef=treble-8\nK:C\nCDEF|", [48, 50, 52, 53]),
    ("K:C clef=treble-8\nCD|[K:treble]EF|", [48, 50, 64, 65]),
    ("K:C clef=treble-8 octave=1\nCDEF|", [60, 62, 64, 65]),
    ("K:C octave=1\nV:1 clef=treble+15\nC|[K:bass]C,,,", [96, 36]),
]
MORE = [
    TWO,
    'K:F#m transpose=-3\n"C#7/G#"[CEG]c\' ^^F F|[K:Bb transpose=2]^F F B _B|{^cB}B4|',
    "K:D transpose=-2\n^CDEF|[K:G]^C[K:bass]CEF|",
    "K:C clef=treble-8\n^FF[K:bass]F[K:alto-8]f|[K:D transpose=1]F4-|F=F f F|",
    "V:1 transpose=-2\nV:2\nK:D\n[V:1]DEFG|[V:2]DEFG|[V:1][K:E]EFGA|[V:2]EFGA|",
]


def pitches(tune: str | Score) -> list[int]:
    score = parse(tune) if isinstance(tune, str) else tune
    return [pitch for bar in score.bars for note in bar.notes for pitch in note.pitches]


def meaning(score: Score) -> list[tuple[object, ...]]:
    return [(bar.voice, bar.key, bar.metre, bar.notes) for bar in score.bars]


def played(midi: bytes) -> list[int]:
    tracks = mido.MidiFile(file=io.BytesIO(midi)).tracks
    notes = [m for track in tracks for m in track if m.type == "note_on" and m.velocity]
    return [message.note for message in notes]


@pytest.mark.parametrize(("tune", "wanted"), [*AS_ABC2MIDI, *OTHER_THAN_ABC2MIDI])
def test_notes_sound_where_clefs_say(tune: str, wanted: list[int]) -> None:
    assert pitches(HEAD + tune) == wanted


@pytest.mark.parametrize(("tune", "wanted"), AS_ABC2MIDI)
def test_abc2midi_agrees(tune: str, wanted: list[int], tmp_path: Path) -> None:
    (tmp_path / "tune.abc").write_text(f"{HEAD}{tune}\n")
    command = [find_abc2midi(), "tune.abc", "-o", "tune.mid"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert played((tmp_path / "tune.mid").read_bytes()) == wanted


@pytest.mark.parametrize(
    "tune", [*(tune for tune, _ in [*AS_ABC2MIDI, *OTHER_THAN_ABC2MIDI]), *MORE]
)
def test_normal_form_writes_notes_as_they_sound(tune: str) -> None:
    score = parse(HEAD + tune)
    text = canonical(score)
    again = parse(text)
    assert meaning(again) == meaning(score)
    assert (again.key, again.voices) == (score.key, score.voices)
    assert canonical(text) == text
    assert not may_shift(text)
    assert melodic_fingerprint(again) == melodic_fingerprint(score)


def test_normal_form_of_a_transposing_voice() -> None:
    assert canonical(HEAD + TWO) == (
        "X:1\nL:1/4\nM:4/4\nK:C\n[V:1] C,D,E,F, |\n[V:2] [K:Bb]B,CDE |]\n"
    )
    assert canonical(HEAD + 'K:D transpose=-2\n"A7/C#"DEF^G|') == (
        'X:1\nL:1/4\nM:4/4\nK:C\n"G7/B"CDE^F |]\n'
    )


def test_grace_notes_move_too() -> None:
    text = canonical(HEAD + "K:C transpose=2\n{^FG}F2 FG|", keep_grace=True)
    assert text == "X:1\nL:1/4\nM:4/4\nK:D\n{^GA}G2 GA |]\n"


def test_transposition_starts_from_what_sounds() -> None:
    assert pitches(transpose(HEAD + TWO, 5)) == [pitch + 5 for pitch in pitches(HEAD + TWO)]


@pytest.mark.parametrize("tune", [tune for tune, _ in OTHER_THAN_ABC2MIDI])
def test_midi_sounds_so(tune: str) -> None:
    assert played(abc_to_midi(HEAD + tune).data) == pitches(HEAD + tune)


def test_score_is_drawn_at_sounding_pitch() -> None:
    tunes = ("K:C clef=treble-8\nCDEF|", "K:C clef=bass\nC,D,E,F,|]", "K:C\nCDEF|]")
    low, same, high = (_PLACE.findall(abc_to_svg(HEAD + tune)) for tune in tunes)
    assert low == same != high


def test_properties_hold_until_they_are_given_anew() -> None:
    shift = read_shift("G clef=bass-8 octave=1 transpose=-2")
    assert shift == Shift(-1, 1, -2)
    assert shift.total == -2
    assert read_shift("alto", shift) == Shift(0, 1, -2)
    assert voice_shift('T clef=tenor octave=0 nm="octave=3"', shift) == Shift(0, 0, -2)
    assert voice_shift("treble-8", shift) == shift
    assert read_shift("G score=AC stafflines=1 middle=d", shift) == shift
    assert read_shift("C") is NO_SHIFT


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ("K:C octave=9\nC|", 'line 4: "octave=9" is no number from -4 to 4'),
        ("K:C transpose=x\nC|", 'line 4: "transpose=x" is no number from -48 to 48'),
        ("V:1 octave=\nK:C\nC|", 'line 4: "octave=" is no number from -4 to 4'),
        ("K:C\nC|[V:1 octave=1.5]C|", 'line 5: "octave=1.5" is no number from -4 to 4'),
        (
            "K:C sound=AC\nC|",
            'line 4: "sound=" of a draft of ABC 2.2 is not supported; use "transpose="',
        ),
        ("K:C octave=4\nc''|", "line 5, column 1: the note is outside MIDI's range of 0 to 127"),
    ],
)
def test_absurd_properties(tune: str, message: str) -> None:
    with pytest.raises(AbcError) as caught:
        parse(HEAD + tune)
    assert str(caught.value) == message


def test_notes_too_low_to_be_written() -> None:
    score = parse(HEAD + "K:C octave=-1\nC,,,,|")
    assert pitches(score) == [0]
    with pytest.raises(AbcError, match="leaves MIDI's range"):
        canonical(score)
