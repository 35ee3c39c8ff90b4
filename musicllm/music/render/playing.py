"""How a tune is to sound: pitch, tempo and instrument, in MIDI and in the value of `Q:`."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from musicllm.errors import RenderError

if TYPE_CHECKING:
    import mido

_DEFAULT_BEAT_US = 500_000
"""Length of a quarter note of MIDI without a tempo, in microseconds."""
_LONGEST_BEAT_US = (1 << 24) - 1
"""Longest quarter note that MIDI can state, in microseconds."""
_ACCOMPANIMENT = "gchord track"
"""Text in the track where abc2midi plays chord symbols."""
_DRUMS = 9
_BEATS = re.compile(r"(\d+/\d+\s*=\s*)(\d+)")


@dataclass(frozen=True)
class Playing:
    """How a tune is to sound.

    Attributes:
        semitones: that it is transposed by, upwards.
        tempo: factor on the tempo; 2 is twice as fast.
        program: General MIDI number of the instrument of the voices, from 0; None leaves the
            default, a piano. Chord symbols are always played on a piano.
    """

    semitones: int = 0
    tempo: float = 1.0
    program: int | None = None


DEFAULT_PLAYING = Playing()


def played(midi: bytes, playing: Playing) -> bytes:
    """Return the MIDI of a tune with another pitch, tempo and instrument.

    Raises:
        RenderError: the tempo is slower than MIDI can state, or a note leaves its range.
    """
    import mido

    if playing == DEFAULT_PLAYING:
        return midi
    file = mido.MidiFile(file=io.BytesIO(midi))
    has_tempo = any(message.type == "set_tempo" for track in file.tracks for message in track)
    if not has_tempo:
        file.tracks[0].insert(0, mido.MetaMessage("set_tempo", tempo=_DEFAULT_BEAT_US, time=0))
    for track in file.tracks:
        for message in track:
            if message.type == "set_tempo":
                message.tempo = _scaled(message.tempo, playing.tempo)
            elif message.type in ("note_on", "note_off") and message.channel != _DRUMS:
                message.note = _moved(message.note, playing.semitones)
        if playing.program is not None:
            _instrument(track, playing.program)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def scaled_tempo(tempo: str, unit_length: Fraction, factor: float) -> str:
    """Return the value of a `Q:` whose tempo is that of another times a factor.

    Args:
        tempo: the other value; a number alone counts unit lengths (ABC 2.1, section 3.1.8), and a
            value without a number stands for the tempo of MIDI.
        unit_length: of the tune.
        factor: such as 2 for twice as fast.
    """
    if factor == 1.0:
        return tempo
    if match := _BEATS.search(tempo):
        beats = max(1, round(int(match[2]) * factor))
        return f"{tempo[: match.start()]}{match[1]}{beats}{tempo[match.end() :]}"
    number, unit = (int(tempo), unit_length) if tempo.strip().isdecimal() else (120, Fraction(1, 4))
    return f"{unit.numerator}/{unit.denominator}={max(1, round(number * factor))}"


def accompanies(track: mido.MidiTrack) -> bool:
    """Return whether a track of abc2midi's plays chord symbols."""
    return any(message.type == "text" and message.text == _ACCOMPANIMENT for message in track)


def _scaled(beat_us: int, factor: float) -> int:
    """Return the length of a quarter note at another tempo, in microseconds."""
    result = max(1, round(beat_us / factor))
    if result > _LONGEST_BEAT_US:
        raise RenderError(
            f"tempo={factor:g} is slower than MIDI can state for this tune; use a larger one"
        )
    return result


def _moved(note: int, semitones: int) -> int:
    if not 0 <= note + semitones <= 127:
        raise RenderError(f"transposing by {semitones} semitones leaves MIDI's range")
    return int(note + semitones)


def _instrument(track: mido.MidiTrack, program: int) -> None:
    """Let every channel of a track play an instrument, except chord symbols and drums."""
    import mido

    if accompanies(track):
        return
    channels = {message.channel for message in track if message.type == "note_on"} - {_DRUMS}
    waiting, kept = 0, []
    for message in track:
        if message.type == "program_change" and message.channel in channels:
            waiting += message.time
            continue
        kept.append(message.copy(time=message.time + waiting))
        waiting = 0
    changes = [
        mido.Message("program_change", channel=channel, program=program, time=0)
        for channel in sorted(channels)
    ]
    track[:] = [*changes, *kept]
