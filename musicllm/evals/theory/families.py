"""Facts of elementary music theory as questions with their right and wrong answers.

Each family yields every question that it can ask, in a fixed order, so a question's answer depends
on nothing but the rule. Wrong answers are near misses and never right under another name: none
sounds like the right one. Which questions are asked is decided in `quiz`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from musicllm.evals.theory import spelling
from musicllm.evals.theory.spelling import INTERVALS, MINOR_TO_MAJOR, SCALES, SEVENTHS, TRIADS

ROOTS = range(-4, 7)
"""Notes from Ab to F#."""
SIGNATURES = range(-6, 7)
"""Sharps of a key signature; flats are negative."""
MODES = {"major": 0, "minor": MINOR_TO_MAJOR}
METRES = ("2/4", "3/4", "4/4", "5/4", "2/2", "3/2", "6/4", "3/8", "6/8", "9/8", "12/8")
UNITS = {4: "quarter", 8: "eighth", 16: "sixteenth", 32: "thirty-second"}
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


@dataclass(frozen=True)
class Draft:
    """A question before its options are drawn and ordered.

    Attributes:
        stem: the question.
        abc: a score that belongs to it, or empty.
        answer: the one right answer.
        wrong: at least three answers that are not right.
    """

    stem: str
    abc: str
    answer: str
    wrong: tuple[str, ...]


def intervals() -> Iterator[Draft]:
    """Ask for the interval between two notes, named or written, and for the note above another."""
    for root in ROOTS:
        for interval, step in INTERVALS.items():
            if not spelling.is_simple(root + step):
                continue
            lower, upper = spelling.name(root), spelling.name(root + step)
            near = [other for other in INTERVALS.items() if 0 < _gap(other[1], step) <= 3]
            names = tuple(other for other, _ in near)
            stem = f"Which interval lies between {lower} and the next {upper} above it?"
            yield Draft(stem, "", interval, names)
            stem = "Which interval lies between the first and the second note of this score?"
            score = _score(" ".join(spelling.abc([root, root + step])), metre="2/4")
            yield Draft(stem, score, interval, names)
            notes = tuple(
                spelling.name(root + other) for _, other in near if spelling.is_simple(root + other)
            )
            article = "an" if interval[0] == "a" else "a"
            if len(notes) >= 3:
                stem = f"Which note lies {article} {interval} above {lower}?"
                yield Draft(stem, "", upper, notes)


def key_signatures() -> Iterator[Draft]:
    """Ask for the sharps or flats of a key, named or written, and for the key that has them."""
    for mode, offset in MODES.items():
        for sharps in SIGNATURES:
            key = _key(sharps + offset, mode)
            near = [other for other in SIGNATURES if _is_near_key(other, sharps)]
            counts = tuple(_accidentals(other) for other in near)
            stem = f"How many sharps or flats are in the key signature of {key}?"
            yield Draft(stem, "", _accidentals(sharps), counts)
            stem = "How many sharps or flats are in the key signature of this score?"
            score = _score("C D E F", key=_abc_key(sharps + offset, mode))
            yield Draft(stem, score, _accidentals(sharps), counts)
            stem = f"Which {mode} key has {_accidentals(sharps)} in its key signature?"
            keys = tuple(_key(other + offset, mode) for other in near)
            yield Draft(stem, "", key, keys)


def relative_keys() -> Iterator[Draft]:
    """Ask for the key of the other mode that shares the signature of a key, named or written."""
    for sharps in SIGNATURES:
        near = [other for other in SIGNATURES if _is_near_key(other, sharps)]
        for mode, other_mode in (("major", "minor"), ("minor", "major")):
            tonic = sharps + MODES[mode]
            answer = _key(sharps + MODES[other_mode], other_mode)
            wrong = tuple(_key(other + MODES[other_mode], other_mode) for other in near)
            stem = f"Which key is the relative {other_mode} of {_key(tonic, mode)}?"
            yield Draft(stem, "", answer, wrong)
            stem = f"Which {other_mode} key has the same key signature as this score?"
            score = _score("C D E F", key=_abc_key(tonic, mode))
            yield Draft(stem, score, answer, wrong)


def bar_lengths() -> Iterator[Draft]:
    """Ask how many notes of one length fill a bar, and how many a written bar lacks."""
    for metre in METRES:
        for unit, unit_name in UNITS.items():
            full = Fraction(metre) * unit
            if full.denominator != 1 or full < 2:
                continue
            count = int(full)
            stem = f"How many {unit_name} notes fill one bar of {metre} time?"
            yield Draft(stem, "", str(count), _near_counts(count, int(metre.split("/")[0])))
            for missing in range(1, min(count, 7)):
                stem = f"How many {unit_name} notes are missing to complete the bar of this score?"
                score = _score(_filled(count - missing), metre=metre, unit=unit)
                wrong = _near_counts(missing, count - missing)
                yield Draft(stem, score, str(missing), wrong)


def chords() -> Iterator[Draft]:
    """Ask for the notes of a chord, and for the name of a written one."""
    for qualities in (TRIADS, SEVENTHS):
        spelled = {
            (root, quality): [root + step for step in steps]
            for root in ROOTS
            for quality, steps in qualities.items()
            if all(spelling.is_simple(root + step) for step in steps)
        }
        for (root, quality), notes in spelled.items():
            others = [
                (other, chord)
                for other, chord in spelled.items()
                if (other[0] == root or other[1] == quality)
                and not spelling.same_sound(chord, notes)
            ]
            close = [other for other in others if abs(other[0][0] - root) <= 2]
            stem = f"Which notes form the chord {_chord(root, quality)}?"
            yield Draft(stem, "", _listed(notes), tuple(_listed(chord) for _, chord in close))
            stem = "Which chord is written in this score?"
            score = _score(f"[{''.join(spelling.abc(notes))}]4")
            wrong = tuple(_chord(*other) for other, _ in close)
            yield Draft(stem, score, _chord(root, quality), wrong)


def scale_degrees() -> Iterator[Draft]:
    """Ask for the note on a degree of a scale, and for the degree of a written note."""
    for scale, steps in SCALES.items():
        mode = scale.split()[-1]
        for sharps in SIGNATURES:
            tonic = sharps + MODES[mode]
            notes = [spelling.name(tonic + step) for step in steps]
            for degree in range(1, 7):
                wrong = tuple(note for note in notes if note != notes[degree])
                scale_name = f"{spelling.name(tonic)} {scale} scale"
                stem = f"Which note is the {ORDINALS[degree]} degree of the {scale_name}?"
                yield Draft(stem, "", notes[degree], wrong)
                stem = f"Which degree of the {scale_name} is the first note of this score?"
                score = _score(f"{notes[degree][0]}4", key=_abc_key(tonic, mode))
                others = tuple(word for word in ORDINALS if word != ORDINALS[degree])
                yield Draft(stem, score, ORDINALS[degree], others)


FAMILIES: dict[str, Callable[[], Iterator[Draft]]] = {
    "intervals": intervals,
    "key_signatures": key_signatures,
    "relative_keys": relative_keys,
    "bar_lengths": bar_lengths,
    "chords": chords,
    "scale_degrees": scale_degrees,
}


def _gap(first: int, second: int) -> int:
    """Return how many semitones one interval is wider than another."""
    return abs(spelling.semitones(first) - spelling.semitones(second))


def _is_near_key(other: int, sharps: int) -> bool:
    """Say whether a signature is a near miss: a few accidentals off, or as many of the other."""
    return (other - sharps) % 12 != 0 and (abs(other - sharps) <= 3 or other == -sharps)


def _accidentals(sharps: int) -> str:
    if sharps == 0:
        return "no sharps or flats"
    kind = "sharp" if sharps > 0 else "flat"
    return f"{abs(sharps)} {kind}" + "s" * (abs(sharps) > 1)


def _key(tonic: int, mode: str) -> str:
    return f"{spelling.name(tonic)} {mode}"


def _abc_key(tonic: int, mode: str) -> str:
    return spelling.name(tonic) + "m" * (mode == "minor")


def _chord(root: int, quality: str) -> str:
    return f"{spelling.name(root)} {quality}"


def _listed(notes: list[int]) -> str:
    return " ".join(map(spelling.name, notes))


def _near_counts(right: int, tempting: int) -> tuple[str, ...]:
    """Return counts that are not right: one that stands in the question, and close ones."""
    near = {tempting, right - 2, right - 1, right + 1, right + 2, right + 3, 2 * right}
    return tuple(str(count) for count in sorted(near) if count > 0 and count != right)


def _filled(num_units: int) -> str:
    """Return notes of one, two and three units that last `num_units` together."""
    notes, place = [], 0
    while num_units:
        length = min(num_units, (2, 1, 3, 1)[place % 4])
        notes.append("CEGFD"[place % 5] + (str(length) if length > 1 else ""))
        num_units, place = num_units - length, place + 1
    return " ".join(notes)


def _score(music: str, *, metre: str = "4/4", unit: int = 4, key: str = "C") -> str:
    return f"X:1\nL:1/{unit}\nM:{metre}\nK:{key}\n{music} |"
