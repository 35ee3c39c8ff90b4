"""Questions about note values: notes, ties, tuplets and broken rhythm."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

from musicllm.theory import staff
from musicllm.theory.drafts import ORDINALS, Draft, level, others, score

UNITS = {4: "quarter", 8: "eighth", 16: "sixteenth", 32: "thirty-second"}
_VALUES = {
    f"{dots}{value} note": length * factor
    for value, length in {
        "whole": Fraction(1), "half": Fraction(1, 2), **{
            name: Fraction(1, unit) for unit, name in UNITS.items()
        },
    }.items()
    for dots, factor in {"": Fraction(1), "dotted ": Fraction(3, 2)}.items()
}  # fmt: skip
"""Name -> fraction of a whole note."""
_NAMES = {length: name for name, length in _VALUES.items()}
_TUPLETS = {
    "(2": (2, 3),
    "(3": (3, 2),
    "(4": (4, 3),
    "(5:4:5": (5, 4),
    "(6": (6, 2),
    "(7:4:7": (7, 4),
}
"""Sign -> number of notes, and of the notes in whose time they are played."""
_BROKEN = {">": Fraction(3, 2), "<": Fraction(1, 2), ">>": Fraction(7, 4), "<<": Fraction(1, 4)}
"""Sign -> factor of the note before it."""


def note_values() -> Iterator[Draft]:
    """The value of a note, and of two tied notes, with a unit length.

    Harder with a fraction of the unit, with a dotted value, and with a tie.
    """
    draw = random.Random("note values")
    lengths = [Fraction(n, d) for n, d in ((1, 2), (1, 1), (3, 2), (2, 1), (3, 1), (4, 1), (6, 1))]
    for unit in (4, 8, 16) * 6:
        for length in lengths:
            right = _NAMES.get(length / unit)
            if right is None:
                continue
            for place in range(3):
                around = draw.sample([other for other in lengths if other != length], 2)
                around.insert(place, length)
                hard = level(length.denominator > 1, "dotted" in right)
                stem = f"Which value has the {ORDINALS[place]} note of this score?"
                tune = score(timed(draw, around), metre="none", unit=unit)
                yield Draft(stem, tune, right, _near_values(length / unit), hard)
        for first, second in ((a, b) for a in lengths for b in lengths):
            right = _NAMES.get((first + second) / unit)
            if right is None:
                continue
            places = staff.walk(draw, 2)
            tokens = [token(places[0], first) + "-", token(places[0], second)]
            music = " ".join([*tokens, token(places[1], Fraction(1))])
            fractional = first.denominator * second.denominator > 1
            hard = level(True, fractional, "dotted" in right)
            stem = "Which value have the two tied notes of this score together?"
            tune = score(music, metre="none", unit=unit)
            yield Draft(stem, tune, right, _near_values((first + second) / unit), hard)


def tuplets() -> Iterator[Draft]:
    """The length of a tuplet, of a note of it, and of notes in broken rhythm.

    Harder for one note of a tuplet, and for signs other than `(3`, `>` and `<`.
    """
    draw = random.Random("tuplets")
    for unit in (4, 8, 16) * 12:
        for sign, (num, time) in _TUPLETS.items():
            notes = [pitch.abc() for pitch in staff.in_key(staff.walk(draw, num), 0)]
            tune = score(f"{sign}{''.join(notes)} {notes[0]}2", metre="none", unit=unit)
            total, single = Fraction(time, unit), Fraction(time, num * unit)
            near = _near_fractions(total, Fraction(num, unit), single)
            stem = "How long do the notes of the tuplet in this score last together?"
            yield Draft(stem, tune, _share(total), near, level(sign != "(3"))
            near = _near_fractions(single, Fraction(1, unit), Fraction(num, time * unit))
            stem = "How long does each note of the tuplet in this score last?"
            yield Draft(stem, tune, _share(single), near, level(True, sign != "(3"))
        for sign, factor in _BROKEN.items():
            for place, part in enumerate((factor, 2 - factor)):
                first, second, third = staff.in_key(staff.walk(draw, 3), 0)
                tune = score(
                    f"{first.abc()}{sign}{second.abc()} {third.abc()}2", metre="none", unit=unit
                )
                length = part / unit
                near = _near_fractions(length, (2 - part) / unit, Fraction(1, unit))
                stem = f"How long does the {ORDINALS[place]} note of this score last?"
                yield Draft(stem, tune, _share(length), near, level(len(sign) > 1))


def timed(draw: random.Random, lengths: list[Fraction]) -> str:
    """Return a random melody with these note lengths in units."""
    places = staff.walk(draw, len(lengths))
    return " ".join(token(place, length) for place, length in zip(places, lengths, strict=True))


def token(place: int, length: Fraction) -> str:
    """Return a natural note with its length in units as ABC."""
    return staff.Pitch(place, 0).abc() + ("" if length == 1 else str(length))


def _near_values(length: Fraction) -> tuple[str, ...]:
    """Return the names of other values from a quarter to four times as long."""
    return tuple(
        name
        for name, other in _VALUES.items()
        if other != length and Fraction(1, 4) <= other / length <= 4
    )


def _near_fractions(right: Fraction, *tempting: Fraction) -> tuple[str, ...]:
    near = [*tempting, 2 * right, right / 2, right * Fraction(3, 2), right * Fraction(2, 3)]
    return others(map(_share, near), _share(right))


def _share(length: Fraction) -> str:
    if length.denominator > 1:
        return f"{length} of a whole note"
    return "1 whole note" if length == 1 else f"{length} whole notes"
