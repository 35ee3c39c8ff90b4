"""A melody's fingerprint, the same in every key and at every note value."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from musicllm.music.abc import Score

DEFAULT_ORDER = 6
_PRIME = (1 << 61) - 1
_BASE = 1_000_003


def melodic_fingerprint(score: Score, order: int = DEFAULT_ORDER) -> frozenset[int]:
    """Return hashes of all runs of `order` steps in the melody.

    A step is an interval in semitones and the ratio of two durations. The melody is the highest
    note of the first voice; rests are left out and repeated notes count as one long note, so
    transposing, another `L:`, ties and grace notes change nothing. Hashes are below 2**61 and the
    same in every process. Linear in the number of notes times `order`.

    Raises:
        ValueError: `order` is below 1.
    """
    if order < 1:
        raise ValueError(f"order={order} must be at least 1")
    skeleton = _skeleton(score)
    steps = [
        _code(after[0] - before[0], after[1] / before[1]) for before, after in pairwise(skeleton)
    ]
    return frozenset(_fold(steps[i : i + order]) for i in range(len(steps) - order + 1))


def similarity(first: frozenset[int], second: frozenset[int]) -> float:
    """Return the containment of two fingerprints: shared hashes over those of the smaller one.

    1 when one melody holds all of the other, 0 when nothing is shared or one is empty.
    """
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 0.0


def _skeleton(score: Score) -> list[tuple[int, Fraction]]:
    """Return (highest pitch, duration) of the melody, repeated notes joined."""
    result: list[tuple[int, Fraction]] = []
    for bar in score.voice():
        for note in bar.notes:
            if not note.pitches:
                continue
            pitch = max(note.pitches)
            if result and result[-1][0] == pitch:
                result[-1] = (pitch, result[-1][1] + note.duration)
            else:
                result.append((pitch, note.duration))
    return result


def _code(interval: int, ratio: Fraction) -> int:
    return ((interval + 128) * 65_537 + ratio.numerator) * 65_537 + ratio.denominator


def _fold(codes: list[int]) -> int:
    """Return a polynomial hash, which unlike `hash` is the same in every version of Python."""
    value = 0
    for code in codes:
        value = (value * _BASE + code) % _PRIME
    return value
