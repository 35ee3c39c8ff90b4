"""Questions about keys and scales: signatures, related keys, church modes, degrees."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from musicllm.theory import spelling, staff
from musicllm.theory.drafts import ORDINALS, Draft, level, others, score
from musicllm.theory.spelling import KEYS, MODES, SCALES, SIGNATURES, KeyName, accidentals

_DEGREE_NAMES = (
    "tonic", "supertonic", "mediant", "subdominant", "dominant", "submediant",
)  # fmt: skip
_CHURCH = ("dorian", "phrygian", "lydian", "mixolydian", "locrian")
_OTHER_MODE = {"major": "minor", "minor": "major"}
_RELATIVE = "Which key is the relative key of {}?"
_RELATIONS: dict[str, Callable[[KeyName], KeyName]] = {
    _RELATIVE: lambda key: KeyName(key.sharps, _OTHER_MODE[key.mode]),
    "Which key is the parallel key of {}?": lambda key: KeyName(
        key.sharps - 3 if key.mode == "major" else key.sharps + 3, _OTHER_MODE[key.mode]
    ),
    "Which key of the same mode lies a perfect fifth above {}?": lambda key: key._replace(
        sharps=key.sharps + 1
    ),
    "Which key of the same mode lies a perfect fourth above {}?": lambda key: key._replace(
        sharps=key.sharps - 1
    ),
}
"""Question -> function from a key to the related key."""
_SECOND = {
    "Which key is the relative key of the one a perfect fifth above {}?": 1,
    "Which key is the relative key of the one a perfect fourth above {}?": -1,
}
"""Question -> difference in sharps; the mode changes."""


def key_signatures() -> Iterator[Draft]:
    """The key signature of a named or written key, and the key of a signature.

    Harder in minor, and with more than three sharps or flats.
    """
    draw = random.Random("key signatures")
    for key in KEYS:
        sharps, hard = key.sharps, level(key.mode == "minor", abs(key.sharps) > 3)
        near = [other for other in SIGNATURES if _is_near(other, sharps)]
        counts = tuple(accidentals(other) for other in near)
        stem = f"How many sharps or flats are in the key signature of {key.name}?"
        yield Draft(stem, "", accidentals(sharps), counts, hard)
        stem = f"Which {key.mode} key has {accidentals(sharps)} in its key signature?"
        keys = tuple(KeyName(other, key.mode).name for other in near)
        yield Draft(stem, "", key.name, keys, hard)
        if sharps:
            kind = "sharp" if sharps > 0 else "flat"
            last = sharps + 5 if sharps > 0 else sharps - 1
            stem = f"Which {kind} stands last in the key signature of {key.name}?"
            around = [spelling.name(last + step) for step in (1, -1, 2, -2, 3, -3)]
            names = tuple(name for name in around if len(name) == 2)
            yield Draft(stem, "", spelling.name(last), names, hard)
        for _ in range(20):
            tune = _melody(draw, key)
            stem = "How many sharps or flats are in the key signature of this score?"
            yield Draft(stem, tune, accidentals(sharps), counts, hard)


def key_relations() -> Iterator[Draft]:
    """The relative, parallel or neighbouring key of a named or written key.

    Harder with more than three sharps or flats on either side, and over two relations.
    """
    draw = random.Random("key relations")
    for key in KEYS:
        relations = [(stem, related(key), False) for stem, related in _RELATIONS.items()]
        relations += [
            (stem, KeyName(key.sharps + more, _OTHER_MODE[key.mode]), True)
            for stem, more in _SECOND.items()
        ]
        for stem, right, is_second in relations:
            if abs(right.sharps) > 6:
                continue
            hard = level(is_second, max(abs(key.sharps), abs(right.sharps)) > 3)
            wrong = _near_keys(key, right)
            yield Draft(stem.format(key.name), "", right.name, wrong, hard)
            from_score = stem.format("the key of this score")
            for _ in range(4):
                yield Draft(from_score, _melody(draw, key), right.name, wrong, hard)


def modes() -> Iterator[Draft]:
    """The church mode of a written scale, its signature and its notes.

    Harder with more than one sharp or flat, and again with more than three.
    """
    for key in (KeyName(sharps, mode) for mode in _CHURCH for sharps in SIGNATURES):
        if not (-5 <= key.tonic <= 7):
            continue
        hard = level(abs(key.sharps) > 1, abs(key.sharps) > 3)
        notes = range(key.sharps - 1, key.sharps + 6)
        steps = sorted(notes, key=lambda n: 4 * (n - key.tonic) % 7)  # letters above the tonic
        same_tonic = [KeyName(key.tonic - MODES[mode][0], mode).name for mode in MODES]
        same_notes = [KeyName(key.sharps, mode).name for mode in MODES]
        wrong = others([*same_tonic, *same_notes], key.name)
        scale = staff.rising([*steps, key.tonic])
        for order in (scale, scale[::-1], [*scale, *scale[-2::-1]]):
            tune = score(staff.line(order), metre="none", unit=8)
            stem = "Which scale, from its tonic to its tonic, is written in this score?"
            yield Draft(stem, tune, key.name, wrong, hard)
        stem = f"How many sharps or flats does the scale {key.name} have?"
        near = [other for other in SIGNATURES if _is_near(other, key.sharps)]
        counts = tuple(accidentals(other) for other in near)
        yield Draft(stem, "", accidentals(key.sharps), counts, hard)
        for degree in (1, 3, 5):
            stem = f"Which note is the {ORDINALS[degree]} degree of the scale {key.name}?"
            wrong = _near_degrees(steps, degree)
            yield Draft(stem, "", spelling.name(steps[degree]), wrong, hard)


def scale_degrees() -> Iterator[Draft]:
    """The note on a degree of a scale, by number or name, and the degree of a written note.

    Harder in minor, and with more than three sharps or flats.
    """
    for scale, steps in SCALES.items():
        for sharps in SIGNATURES:
            key = KeyName(sharps, scale.split()[-1])
            hard = level(key.mode == "minor", abs(sharps) > 3)
            notes = [key.tonic + step for step in steps]
            for degree in range(1, 7):
                right, wrong = spelling.name(notes[degree]), _near_degrees(notes, degree)
                scale_name = f"{spelling.name(key.tonic)} {scale} scale"
                stem = f"Which note is the {ORDINALS[degree]} degree of the {scale_name}?"
                yield Draft(stem, "", right, wrong, hard)
                if degree < len(_DEGREE_NAMES):
                    stem = f"Which note is the {_DEGREE_NAMES[degree]} of {key.name}?"
                    yield Draft(stem, "", right, wrong, hard)
                stem = f"Which degree of the {scale_name} is the first note of this score?"
                tune = score(f"{right[0]}4", key=key.abc)
                wrong = others(ORDINALS[:7], ORDINALS[degree])
                yield Draft(stem, tune, ORDINALS[degree], wrong, hard)


def _melody(draw: random.Random, key: KeyName) -> str:
    return score(staff.line(staff.in_key(staff.walk(draw, 4), key.sharps), key.sharps), key=key.abc)


def _is_near(other: int, sharps: int) -> bool:
    """Return whether a signature is a near miss: a few accidentals off, or as many of the other."""
    return (other - sharps) % 12 != 0 and (abs(other - sharps) <= 3 or other == -sharps)


def _near_keys(key: KeyName, right: KeyName) -> tuple[str, ...]:
    """Return keys with another relation to a key, or close to the right one."""
    near = [related(key) for related in _RELATIONS.values()]
    near += [right._replace(sharps=right.sharps + step) for step in (-2, -1, 1, 2, -3, 3)]
    differs = [
        other.name
        for other in near
        if abs(other.sharps) <= 6
        and (other.mode != right.mode or (other.sharps - right.sharps) % 12)
    ]
    return others(differs, key.name)


def _near_degrees(notes: list[int], degree: int) -> tuple[str, ...]:
    """Return the other notes of a scale, and the right letter with other accidentals."""
    altered = [notes[degree] + 7, notes[degree] - 7]
    near = [note for note in altered if spelling.is_simple(note)]
    return tuple(spelling.name(note) for note in [*near, *notes] if note != notes[degree])
