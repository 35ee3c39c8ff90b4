"""Questions about chords in a key: Roman numerals and cadences."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product

from musicllm.theory import spelling, staff
from musicllm.theory.drafts import Draft, level, others, score
from musicllm.theory.spelling import KEYS, SCALES, TRIADS, KeyName

_NUMERALS = {
    "major": ("I", "ii", "iii", "IV", "V", "vi", "vii°"),
    "minor": ("i", "ii°", "III", "iv", "v", "VI", "VII"),
}
"""Triads on the degrees of the major and of the natural minor scale."""
_CADENCES = {
    "authentic cadence": (4, 0),
    "plagal cadence": (3, 0),
    "half cadence": (None, 4),
    "deceptive cadence": (4, 5),
}
"""Cadence -> degrees of its two chords, 0 for the tonic; None for any."""
_OPENINGS = ((0, 3), (0, 5), (0, 1), (5, 3), (0, 0), (3, 0))
"""Degrees of the two chords before a cadence."""


def roman_numerals() -> Iterator[Draft]:
    """The Roman numeral of a chord in a key, and the chord of a Roman numeral.

    Harder in minor, where the scale is the natural one, and with more than two accidentals.
    """
    for key, degree in product(KEYS, range(7)):
        numerals = _NUMERALS[key.mode]
        triads = [_triad(key, other) for other in range(7)]
        hard = level(key.mode == "minor", abs(key.sharps) > 2)
        wrong = others(numerals, numerals[degree])
        right = _triad_name(triads[degree])
        stem = f"Which Roman numeral has the chord {right} in the key of {key.name}?"
        yield Draft(stem, "", numerals[degree], wrong, hard)
        stem = f"Which chord is {numerals[degree]} in the key of {key.name}?"
        quality = {"major": "minor", "minor": "major"}.get(right.split()[1], "minor")
        names = others([f"{right.split()[0]} {quality}", *map(_triad_name, triads)], right)
        yield Draft(stem, "", right, names, hard)
        pitches = staff.rising(triads[degree])
        stem = "Which Roman numeral has the chord of this score in its key?"
        for music in (
            staff.block(pitches, key.sharps),
            staff.line(pitches, key.sharps),
            staff.line(pitches[::-1], key.sharps),
        ):
            tune = score(music, metre="none", key=key.abc)
            yield Draft(stem, tune, numerals[degree], wrong, hard)


def cadences() -> Iterator[Draft]:
    """The cadence at the end of four chords; in minor the leading note is raised.

    Harder in minor, with more than two accidentals, and with broken chords.
    """
    draw = random.Random("cadences")
    for key, name in product(KEYS, _CADENCES):
        before, last = _CADENCES[name]
        wrong = others(_CADENCES, name)
        for opening, broken in product(draw.sample(_OPENINGS, 3), (False, True)):
            reached = draw.choice((0, 1, 3)) if before is None else before
            degrees = [*opening, reached, last]
            triads = [_triad(key, degree, raised=True) for degree in degrees]
            hard = level(key.mode == "minor", abs(key.sharps) > 2, broken)
            music = " | ".join(
                staff.line(staff.rising(notes), key.sharps)
                if broken
                else staff.block(staff.rising(notes), key.sharps, "3")
                for notes in triads
            )
            tune = score(music, metre="3/4", key=key.abc)
            stem = "Which cadence do the last two chords of this score make?"
            yield Draft(stem, tune, name, wrong, hard)


def _triad(key: KeyName, degree: int, raised: bool = False) -> list[int]:
    """Return the notes of a triad of the scale; with `raised`, V in minor has the leading note."""
    scale = SCALES["natural minor" if key.mode == "minor" else "major"]
    notes = [key.tonic + scale[(degree + step) % 7] for step in (0, 2, 4)]
    if raised and key.mode == "minor" and degree == 4:
        notes[1] += 7
    return notes


def _triad_name(notes: list[int]) -> str:
    shape = tuple(note - notes[0] for note in notes)
    quality = next(quality for quality, steps in TRIADS.items() if steps == shape)
    return f"{spelling.name(notes[0])} {quality}"
