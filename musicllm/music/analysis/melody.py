"""Melodies as steps, and fingerprints that are independent of key and note values."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import gcd

from musicllm.music.abc import Score

DEFAULT_ORDER = 6
_PRIME = (1 << 61) - 1
_BASE = 1_000_003

Step = tuple[int, int, int]
"""Semitones upwards; ratio of the later duration to the earlier, numerator and denominator."""


def melodic_steps(score: Score) -> list[Step]:
    """Return the steps of a melody: the highest notes of the first voice.

    Rests are ignored, and repeated notes count as one long note.
    """
    melody: list[tuple[int, int, int]] = []
    for note in (note for bar in score.voice() for note in bar.notes if note.pitches):
        pitch, length = max(note.pitches), note.duration
        if melody and melody[-1][0] == pitch:
            length += Fraction(melody[-1][1], melody[-1][2])
            melody.pop()
        melody.append((pitch, length.numerator, length.denominator))
    return [_step(before, after) for before, after in pairwise(melody)]


def melodic_fingerprint(score: Score, order: int = DEFAULT_ORDER) -> frozenset[int]:
    """Return hashes of all n-grams of `order` steps in the melody.

    With the steps of `melodic_steps`, transposition, another `L:`, ties and grace notes
    change nothing. Hashes are below 2**61 and the same in every process. Linear in the number of
    notes times `order`.

    Raises:
        ValueError: `order` is below 1.
    """
    return fingerprint(melodic_steps(score), order)


def fingerprint(steps: Sequence[Step], order: int = DEFAULT_ORDER) -> frozenset[int]:
    """Return hashes of all n-grams of `order` steps; see `melodic_fingerprint`."""
    if order < 1:
        raise ValueError(f"order={order} must be at least 1")
    codes = [((interval + 128) * 65_537 + over) * 65_537 + under for interval, over, under in steps]
    return frozenset(_fold(codes[i : i + order]) for i in range(len(codes) - order + 1))


def similarity(first: frozenset[int], second: frozenset[int]) -> float:
    """Return the containment of two fingerprints: shared hashes over those of the smaller one.

    1 if one melody contains the other, 0 if nothing is shared or one is empty.
    """
    smaller = min(len(first), len(second))
    return len(first & second) / smaller if smaller else 0.0


def _step(before: tuple[int, int, int], after: tuple[int, int, int]) -> Step:
    """Return the step between two notes, each a pitch and a duration as a fraction."""
    over, under = after[1] * before[2], after[2] * before[1]
    common = gcd(over, under)
    return after[0] - before[0], over // common, under // common


def _fold(codes: list[int]) -> int:
    """Return a polynomial hash, which unlike `hash` is the same in every Python version."""
    value = 0
    for code in codes:
        value = (value * _BASE + code) % _PRIME
    return value
