"""Worker: `_sample.py MIDI SOUNDFONT WAV RATE_HZ` plays MIDI with sampled instruments.

With the package tinysoundfont (a wheel, without a program); see `kinds.sound`. It is quick: a
minute of two voices takes about half a second.
"""

from __future__ import annotations

import sys

import mido
import numpy as np
import soundfile
import tinysoundfont

TAIL_S = 1.5
"""Time in which the last notes end."""


def main(midi: str, soundfont: str, wav: str, rate_hz: int) -> None:
    """Play the MIDI file and write the WAV file, in stereo."""
    synth = tinysoundfont.Synth(samplerate=rate_hz)
    font = synth.sfload(soundfont)
    for channel in range(16):
        synth.program_select(channel, font, 128 if channel == 9 else 0, 0, channel == 9)
    parts, elapsed, written = [], 0.0, 0
    for message in mido.MidiFile(midi):
        elapsed += message.time
        num = round(elapsed * rate_hz) - written
        if num > 0:
            parts.append(np.frombuffer(bytes(synth.generate(num)), dtype=np.float32))
            written += num
        _play(synth, message)
    parts.append(np.frombuffer(bytes(synth.generate(round(TAIL_S * rate_hz))), dtype=np.float32))
    soundfile.write(wav, np.concatenate(parts).reshape(-1, 2), rate_hz, subtype="FLOAT")


def _play(synth: tinysoundfont.Synth, message: mido.Message) -> None:
    if message.type == "note_on" and message.velocity:
        synth.noteon(message.channel, message.note, message.velocity)
    elif message.type in ("note_on", "note_off"):
        synth.noteoff(message.channel, message.note)
    elif message.type == "program_change":
        synth.program_change(message.channel, message.program, message.channel == 9)
    elif message.type == "control_change":
        synth.control_change(message.channel, message.control, message.value)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
