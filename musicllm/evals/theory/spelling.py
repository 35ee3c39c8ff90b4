"""Note names by arithmetic on the line of fifths.

A spelled note is its place on the line ... Bb F C G D A E B F# ..., with C at 0; the names of an
interval, a chord or a scale are differences on that line. Notes that sound alike (F# and Gb) lie
12 apart. Octaves are not known here, except that ABC is written upwards from the first note.
"""

from __future__ import annotations

from collections.abc import Sequence

LETTERS = "CDEFGAB"
_LINE = "FCGDAEB"

INTERVALS = {
    "minor second": -5, "major second": 2, "minor third": -3, "major third": 4,
    "perfect fourth": -1, "augmented fourth": 6, "diminished fifth": -6, "perfect fifth": 1,
    "minor sixth": -4, "major sixth": 3, "minor seventh": -2, "major seventh": 5,
}  # fmt: skip
"""Interval -> difference on the line of fifths, from the narrowest to the widest."""

TRIADS = {
    "major": (0, 4, 1), "minor": (0, -3, 1), "diminished": (0, -3, -6), "augmented": (0, 4, 8),
}  # fmt: skip
SEVENTHS = {
    "dominant seventh": (0, 4, 1, -2), "major seventh": (0, 4, 1, 5),
    "minor seventh": (0, -3, 1, -2), "half-diminished seventh": (0, -3, -6, -2),
}  # fmt: skip
SCALES = {"major": (0, 2, 4, -1, 1, 3, 5), "natural minor": (0, 2, -3, -1, 1, -4, -2)}
MINOR_TO_MAJOR = 3
"""A minor key has the signature of the major key three places back."""


def name(fifths: int) -> str:
    """Return the note's name, such as `F#`, `B` or `Ebb`."""
    alteration = (fifths + 1) // 7
    return _LINE[(fifths + 1) % 7] + ("#" * alteration or "b" * -alteration)


def is_simple(fifths: int) -> bool:
    """Say whether the name needs at most one accidental."""
    return abs((fifths + 1) // 7) <= 1


def semitones(fifths: int) -> int:
    """Return the pitch class, 0 for C to 11 for B; of a difference, its size within an octave."""
    return fifths * 7 % 12


def same_sound(first: Sequence[int], second: Sequence[int]) -> bool:
    """Say whether two sets of notes have the same pitch classes."""
    return {*map(semitones, first)} == {*map(semitones, second)}


def abc(notes: Sequence[int]) -> list[str]:
    """Return ABC for notes that rise from the first one, which stands in the octave of middle C.

    Accidentals are written out, so the key has to be C; each step is less than an octave.
    """
    written, previous, octave = [], -1, 0
    for fifths in notes:
        letter, accidentals = name(fifths)[0], name(fifths)[1:]
        octave += LETTERS.index(letter) <= previous
        previous = LETTERS.index(letter)
        signs = accidentals.replace("#", "^").replace("b", "_")
        written.append(signs + (letter.lower() if octave else letter) + "'" * (octave - 1))
    return written
