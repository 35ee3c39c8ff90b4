"""Questions about pitch: note names, intervals, intervals inside a melody."""

from __future__ import annotations

import random
from collections.abc import Iterator

from musicllm.theory import spelling, staff
from musicllm.theory.drafts import ORDINALS, Draft, level, others, score
from musicllm.theory.spelling import INTERVALS, KEYS, ROOTS, article

_BY_FIFTHS = {fifths: interval for interval, fifths in INTERVALS.items()}
_WIDE = {6, -6, -4, 3, -2, 5}
"""Tritones, sixths and sevenths."""
_SIGNS = {1: "^", 0: "=", -1: "_"}


def intervals() -> Iterator[Draft]:
    """The interval between two named or written notes, and the note an interval above another.

    Harder with an accidental, and with an interval that is a tritone or wider than a fifth.
    """
    for root in ROOTS:
        for interval, step in INTERVALS.items():
            if not spelling.is_simple(root + step):
                continue
            hard = level(spelling.num_altered((root, root + step)) > 0, step in _WIDE)
            lower, upper = spelling.name(root), spelling.name(root + step)
            near = [other for other in INTERVALS.items() if 0 < _gap(other[1], step) <= 3]
            names = tuple(other for other, _ in near)
            stem = f"Which interval lies between {lower} and the next {upper} above it?"
            yield Draft(stem, "", interval, names, hard)
            stem = "Which interval lies between the first and the second note of this score?"
            tune = score(staff.line(staff.rising([root, root + step])), metre="2/4")
            yield Draft(stem, tune, interval, names, hard)
            notes = tuple(
                spelling.name(root + other) for _, other in near if spelling.is_simple(root + other)
            )
            if len(notes) >= 3:
                stem = f"Which note lies {article(interval)} above {lower}?"
                yield Draft(stem, "", upper, notes, hard)


def intervals_in_context() -> Iterator[Draft]:
    """The interval between two consecutive notes of a melody with a key signature.

    Harder if the signature alters one of them, and with a tritone or more than a fifth.
    """
    draw = random.Random("intervals in context")
    for key in KEYS * 40:
        pitches = staff.in_key(_leaping(draw), key.sharps)
        place = draw.randrange(len(pitches) - 1)
        low, high = sorted(pitches[place : place + 2])
        step = high.fifths - low.fifths
        if step not in _BY_FIFTHS:
            continue
        near = [name for name, other in INTERVALS.items() if 0 < _gap(other, step) <= 3]
        stem = (
            f"Which interval lies between the {ORDINALS[place]} and the {ORDINALS[place + 1]} "
            "note of this melody?"
        )
        hard = level(spelling.num_altered((low.fifths, high.fifths)) > 0, step in _WIDE)
        tune = score(staff.line(pitches, key.sharps), key=key.abc)
        yield Draft(stem, tune, _BY_FIFTHS[step], tuple(near), hard)


def note_names() -> Iterator[Draft]:
    """The name of a note, by the key signature and previous accidentals.

    An accidental applies to the end of its bar. Harder if the signature alters the letter, if
    it had an accidental before, and if a bar line cancels that.
    """
    draw = random.Random("note names")
    for key in KEYS * 40:
        places = staff.walk(draw, 8)
        kind = draw.choice(("plain", "held", "ended"))
        index = draw.randrange(4, 8) if kind != "held" else draw.choice((2, 3, 6, 7))
        start = 0 if kind == "ended" or index < 4 else 4
        source = draw.randrange(start, start + 4 if kind == "ended" else max(start + 1, index))
        usual = staff.altered(places[index], key.sharps)
        tokens = [pitch.abc(key.sharps) for pitch in staff.in_key(places, key.sharps)]
        alteration = usual
        if kind != "plain":
            places[source] = places[index]
            changed = 0 if usual else draw.choice((-1, 1))
            tokens[source] = _SIGNS[changed] + staff.Pitch(places[index], usual).abc(key.sharps)
            alteration = usual if kind == "ended" else changed
        right = staff.Pitch(places[index], alteration)
        music = " ".join(tokens[:4]) + " | " + " ".join(tokens[4:])
        hard = level(usual != 0, kind != "plain", kind == "ended")
        stem = f"What is the name of the {ORDINALS[index]} note of this score?"
        yield Draft(stem, score(music, key=key.abc), right.name, _near_notes(right), hard)


def _near_notes(right: staff.Pitch) -> tuple[str, ...]:
    """Return the letter with other accidentals, and its neighbours, if the pitch differs."""
    near = [staff.Pitch(right.place, alteration) for alteration in (0, 1, -1)]
    near += [staff.Pitch(right.place + step, right.alteration) for step in (-1, 1)]
    sounding = [pitch.name for pitch in near if (pitch.height - right.height) % 12]
    return others(sounding, right.name)


def _leaping(draw: random.Random) -> list[int]:
    """Sample four places with leaps of up to a seventh, without repetition."""
    places = [draw.randint(2, 6)]
    while len(places) < 4:
        place = places[-1] + draw.choice((-6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6))
        if 0 <= place <= 9:
            places.append(place)
    return places


def _gap(first: int, second: int) -> int:
    """Return the difference of two intervals in semitones."""
    return abs(spelling.semitones(first) - spelling.semitones(second))
