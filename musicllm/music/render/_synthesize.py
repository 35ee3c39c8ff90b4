"""Worker: `_synthesize.py MIDI WAV RATE_HZ` plays MIDI with a plain synthesiser; run by `sound`.

No soundfont: each note is a tone of four partials, shaped by pretty_midi. Drums
are silent. Cost grows with the sum of the notes' lengths; 64 s of two voices take 0.2 s.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pretty_midi
import soundfile


def tone(phase: Any) -> Any:
    """Return a tone with four partials, softer upwards, for phases in radians."""
    return sum(np.sin(partial * phase) / partial**2 for partial in range(1, 5))


def main(midi: str, wav: str, rate_hz: int) -> None:
    """Write the WAV file."""
    sound = pretty_midi.PrettyMIDI(midi).synthesize(fs=rate_hz, wave=tone)
    soundfile.write(wav, sound, rate_hz)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
