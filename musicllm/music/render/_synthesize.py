"""Worker: `_synthesize.py MIDI WAV RATE_HZ` plays MIDI with a plain synthesiser; see `kinds.sound`.

No soundfont: each note is a tone of four partials, shaped by pretty_midi. Drums
are silent. Time is linear in the sum of the note lengths; 64 s of two voices take 0.2 s.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pretty_midi
import soundfile


def tone(phase: Any) -> Any:
    """Return a tone with four partials, the higher the softer, for phases in radians."""
    return sum(np.sin(partial * phase) / partial**2 for partial in range(1, 5))


def main(midi: str, wav: str, rate_hz: int) -> None:
    """Synthesise the MIDI file and write the WAV file."""
    sound = pretty_midi.PrettyMIDI(midi).synthesize(fs=rate_hz, wave=tone)
    soundfile.write(wav, sound, rate_hz)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
