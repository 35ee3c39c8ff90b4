"""Notes on the staff: place, alteration, and ABC notation with a key signature.

Places count letters from middle C (0); keys are given by their sharps.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from musicllm.music.abc.keys import LETTERS, SHARP_ORDER, SIGNS, height_of, letter_at
from musicllm.theory.spelling import name


class Pitch(NamedTuple):
    """A note at a place on the staff, altered by `alteration` semitones."""

    place: int
    alteration: int

    @property
    def height(self) -> int:
        """MIDI number."""
        return height_of(self.place) + self.alteration

    @property
    def fifths(self) -> int:
        """Position on the line of fifths."""
        return SHARP_ORDER.index(self.place % 7) - 1 + 7 * self.alteration

    @property
    def name(self) -> str:
        """Such as `F#`."""
        return name(self.fifths)

    def abc(self, sharps: int = 0) -> str:
        """Return the note in ABC, with an accidental if the key requires one."""
        sign = "" if self.alteration == altered(self.place, sharps) else SIGNS[self.alteration]
        return sign + letter_at(self.place)


def altered(place: int, sharps: int) -> int:
    """Return the alteration of a place by a key signature: -1, 0 or 1."""
    order = SHARP_ORDER.index(place % 7)
    return int(order < sharps) - int(order >= 7 + sharps)


def in_key(places: Iterable[int], sharps: int) -> list[Pitch]:
    """Return the notes at these places with the alterations of a key signature."""
    return [Pitch(place, altered(place, sharps)) for place in places]


def rising(notes: Sequence[int]) -> list[Pitch]:
    """Return spelled notes in ascending order, the first in the octave of middle C.

    Args:
        notes: positions on the line of fifths; consecutive notes are less than an octave apart.
    """
    placed: list[Pitch] = []
    octave, previous = 0, -1
    for fifths in notes:
        step = LETTERS.index(name(fifths)[0])
        octave += step <= previous
        previous = step
        placed.append(Pitch(7 * octave + step, (fifths + 1) // 7))
    return placed


def line(pitches: Iterable[Pitch], sharps: int = 0) -> str:
    """Return consecutive notes in ABC; none may repeat a letter that another one alters."""
    return " ".join(pitch.abc(sharps) for pitch in pitches)


def block(pitches: Iterable[Pitch], sharps: int = 0, length: str = "4") -> str:
    """Return a chord in ABC."""
    return "[" + "".join(pitch.abc(sharps) for pitch in pitches) + "]" + length


def walk(draw: random.Random, num_notes: int, low: int = 0, high: int = 9) -> list[int]:
    """Sample a melody as places: steps and thirds, sometimes fourths or fifths, no repetition."""
    places = [draw.randint(low + 2, high - 3)]
    while len(places) < num_notes:
        step = draw.choice((-4, -3, -2, -2, -1, -1, 1, 1, 2, 2, 3, 4))
        if low <= places[-1] + step <= high:
            places.append(places[-1] + step)
    return places
