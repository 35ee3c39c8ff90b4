"""How well the notes of a tune fit its key, and estimation of the key."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from musicllm.music.abc import Key, Score, standard_key
from musicllm.music.abc.keys import NATURALS

MAJOR_PROFILE = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR_PROFILE = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
"""Probe-tone ratings of Krumhansl and Kessler (Psychological Review 89, 1982), tonic first."""

_TONICS = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MINOR_TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")


def pitch_class_durations(score: Score) -> tuple[float, ...]:
    """Return the total duration of each pitch class over all voices, C first, in whole notes."""
    totals = [0.0] * 12
    for bar in score.bars:
        for note in bar.notes:
            duration = float(note.duration)
            for pitch in note.pitches:
                totals[pitch % 12] += duration
    return tuple(totals)


def key_fit(score: Score) -> float:
    """Return the share of sounding time in the scale of the current key.

    In minor keys the raised sixth and seventh are in the scale. `K:none` counts as C major.
    """
    inside = total = 0.0
    for bar in score.bars:
        scale = _scale(bar.key)
        for note in bar.notes:
            duration = float(note.duration)
            total += duration * len(note.pitches)
            inside += duration * sum(pitch % 12 in scale for pitch in note.pitches)
    return inside / total if total else 0.0


def estimate_key(score: Score) -> Key:
    """Return the major or minor key whose profile correlates best with the tune's notes.

    The method of Krumhansl and Schmuckler: Pearson correlation of pitch-class durations with the
    24 rotated profiles of Krumhansl and Kessler. It does not estimate other modes, and sometimes
    confuses relative keys.
    """
    durations = np.asarray(pitch_class_durations(score))
    centred = durations - durations.mean()
    best = int(np.argmax(_profiles() @ centred))
    mode = "major" if best < 12 else "minor"
    return standard_key((_TONICS if best < 12 else _MINOR_TONICS)[best % 12], mode)


@lru_cache(maxsize=1024)
def _scale(key: Key) -> frozenset[int]:
    """Return the pitch classes that belong to a key."""
    scale = {(n + alter) % 12 for n, alter in zip(NATURALS, key.signature, strict=True)}
    if key.mode == "minor" and key.tonic_pitch_class is not None:
        scale |= {(key.tonic_pitch_class + 9) % 12, (key.tonic_pitch_class + 11) % 12}
    return frozenset(scale)


@lru_cache(maxsize=1)
def _profiles() -> NDArray[np.float64]:
    """Return the 24 profiles, tonic C to B, major first, each centred and of length one."""
    rows = np.array(
        [
            np.roll(profile, tonic)
            for profile in (MAJOR_PROFILE, MINOR_PROFILE)
            for tonic in range(12)
        ]
    )
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
