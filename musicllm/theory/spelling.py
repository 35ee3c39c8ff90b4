"""Note names by arithmetic on the line of fifths.

A spelled note is its position on the line ... Bb F C G D A E B F# ..., with C at 0; an
interval, a chord or a scale are differences on that line. Enharmonic notes (F# and Gb) are
12 apart. For octaves see `staff`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LINE = "FCGDAEB"

INTERVALS = {
    "minor second": -5, "major second": 2, "minor third": -3, "major third": 4,
    "perfect fourth": -1, "augmented fourth": 6, "diminished fifth": -6, "perfect fifth": 1,
    "minor sixth": -4, "major sixth": 3, "minor seventh": -2, "major seventh": 5,
}  # fmt: skip
"""Interval -> difference on the line of fifths, from the narrowest to the widest."""

TRIADS: dict[str, tuple[int, ...]] = {
    "major": (0, 4, 1), "minor": (0, -3, 1), "diminished": (0, -3, -6), "augmented": (0, 4, 8),
}  # fmt: skip
SEVENTHS: dict[str, tuple[int, ...]] = {
    "dominant seventh": (0, 4, 1, -2), "major seventh": (0, 4, 1, 5),
    "minor seventh": (0, -3, 1, -2), "half-diminished seventh": (0, -3, -6, -2),
}  # fmt: skip
SCALES = {"major": (0, 2, 4, -1, 1, 3, 5), "natural minor": (0, 2, -3, -1, 1, -4, -2)}
MODES = {
    "major": (0, ""), "minor": (3, "m"), "dorian": (2, "dor"), "phrygian": (4, "phr"),
    "lydian": (-1, "lyd"), "mixolydian": (1, "mix"), "locrian": (5, "loc"),
}  # fmt: skip
"""Mode -> (position of its tonic relative to the major key of equal signature, suffix in ABC)."""

ROOTS = range(-4, 7)
"""Notes from Ab to F#."""
SIGNATURES = range(-6, 7)
"""Sharps of a key signature; flats are negative."""


class KeyName(NamedTuple):
    """A key by the sharps of its signature (flats are negative) and its mode, one of `MODES`."""

    sharps: int
    mode: str

    @property
    def tonic(self) -> int:
        """Position of the tonic on the line of fifths."""
        return self.sharps + MODES[self.mode][0]

    @property
    def name(self) -> str:
        """Such as `F# minor`."""
        return f"{name(self.tonic)} {self.mode}"

    @property
    def abc(self) -> str:
        """As in a field `K:`, such as `F#m`."""
        return name(self.tonic) + MODES[self.mode][1]


KEYS = tuple(KeyName(sharps, mode) for mode in ("major", "minor") for sharps in SIGNATURES)
"""The major and minor keys with up to six sharps or flats."""


def name(fifths: int) -> str:
    """Return the name of a note, such as `F#`, `B` or `Ebb`."""
    alteration = (fifths + 1) // 7
    return _LINE[(fifths + 1) % 7] + ("#" * alteration or "b" * -alteration)


def is_simple(fifths: int) -> bool:
    """Return whether the name has at most one accidental."""
    return abs((fifths + 1) // 7) <= 1


def semitones(fifths: int) -> int:
    """Return the pitch class, 0 for C to 11 for B; of a difference, its size within an octave."""
    return fifths * 7 % 12


def same_sound(first: Sequence[int], second: Sequence[int]) -> bool:
    """Return whether two sets of notes have the same pitch classes."""
    return {*map(semitones, first)} == {*map(semitones, second)}


def accidentals(sharps: int) -> str:
    """Return a key signature in words, such as `2 flats`."""
    if sharps == 0:
        return "no sharps or flats"
    kind = "sharp" if sharps > 0 else "flat"
    return f"{abs(sharps)} {kind}" + "s" * (abs(sharps) > 1)


def num_altered(notes: Sequence[int]) -> int:
    """Count the notes whose name has an accidental."""
    return sum(len(name(note)) > 1 for note in notes)


def article(words: str) -> str:
    """Return words with the indefinite article."""
    return ("an " if words[0] in "aeio" else "a ") + words
