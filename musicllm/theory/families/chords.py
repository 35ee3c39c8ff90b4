"""Questions about single chords: notes, inversions, and notes that do not belong."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain

from musicllm.theory import spelling, staff
from musicllm.theory.drafts import Draft, level, others, score
from musicllm.theory.spelling import ROOTS, SEVENTHS, TRIADS

_POSITIONS = ("root position", "first inversion", "second inversion", "third inversion")
_COMMON = ("major", "minor")
_SYMBOLS = {
    "major": "", "minor": "m", "diminished": "dim", "augmented": "aug", "dominant seventh": "7",
    "major seventh": "maj7", "minor seventh": "m7",
}  # fmt: skip

Chords = dict[tuple[int, str], list[int]]
"""(root, quality) -> notes in ascending order."""


def chords() -> Iterator[Draft]:
    """The notes of a chord, and the name of a written or broken chord.

    Harder with a seventh, diminished or augmented, and with more than one accidental.
    """
    draw = random.Random("chords")
    for qualities in (TRIADS, SEVENTHS):
        spelled = _spelled(qualities)
        for (root, quality), notes in spelled.items():
            hard = level(quality not in _COMMON, spelling.num_altered(notes) > 1)
            right = (root, quality)
            stem = f"Which notes form the chord {_name(*right)}?"
            listed = tuple(_listed(spelled[other]) for other in _crossed(draw, spelled, right))
            yield Draft(stem, "", _listed(notes), listed, hard)
            pitches = staff.rising(notes)
            broken = (pitches, pitches[::-1], [*pitches, *pitches[-2:0:-1]])
            scores = [("written", score(staff.block(pitches)))]
            scores += [("broken", score(staff.line(order), metre="none")) for order in broken]
            for verb, tune in scores:
                wrong = tuple(_name(*other) for other in _crossed(draw, spelled, right))
                stem = f"Which chord is {verb} in this score?"
                yield Draft(stem, tune, _name(*right), wrong, hard)


def inversions() -> Iterator[Draft]:
    """The name and inversion of a written or broken chord.

    Harder with a seventh, and with more than one accidental.
    """
    spelled = _spelled({quality: TRIADS[quality] for quality in _COMMON})
    spelled |= _spelled({"dominant seventh": SEVENTHS["dominant seventh"]})
    placed = {
        (chord, position): notes[position:] + notes[:position]
        for chord, notes in spelled.items()
        for position in range(len(notes))
    }
    names = {(chord, place): f"{_name(*chord)} in {_POSITIONS[place]}" for chord, place in placed}
    for (chord, position), notes in placed.items():
        same_chord = [names[other] for other in placed if other[0] == chord]
        same_bass = [
            names[other]
            for other, tones in placed.items()
            if tones[0] == notes[0] and abs(other[0][0] - chord[0]) <= 4
        ]
        same_root = [names[other] for other in placed if other[0][0] == chord[0]]
        right = names[chord, position]
        wrong = others(chain(same_chord, same_bass, same_root), right)[:7]
        hard = level(len(notes) > 3, spelling.num_altered(notes) > 1)
        pitches = staff.rising(notes)
        stem = "Which chord in which position is written in this score?"
        yield Draft(stem, score(staff.block(pitches)), right, wrong, hard)
        stem = "Which chord in which position is broken in this score, above its first note?"
        for order in ([*pitches, pitches[1]], [pitches[0], *pitches[:0:-1]]):
            yield Draft(stem, score(staff.line(order), metre="none"), right, wrong, hard)


def chord_tones() -> Iterator[Draft]:
    """Which of four notes does not belong to the chord symbol above them.

    Harder if the symbol is not a major or minor triad, and if the key signature
    alters a note.
    """
    draw = random.Random("chord tones")
    fitting = [
        (chord, notes, key)
        for chord, notes in _spelled({**TRIADS, **SEVENTHS}).items()
        for key in range(-4, 5)
        if chord[1] in _SYMBOLS and all(key - 1 <= note <= key + 5 for note in notes)
    ]
    stem = "Which note of this score does not belong to the chord symbol above it?"
    for (root, quality), notes, key in fitting * 10:
        sounds = {*map(spelling.semitones, notes)}
        scale = range(key - 1, key + 6)
        foreign = draw.choice([note for note in scale if spelling.semitones(note) not in sounds])
        sample = draw.sample([*draw.sample(notes, 3), foreign], 4)
        steps = {pitch.fifths: pitch for pitch in staff.in_key(range(7), key)}
        music = staff.line([steps[note] for note in sample], key)
        symbol = spelling.name(root) + _SYMBOLS[quality]
        tune = score(f'"{symbol}"{music}', key=spelling.KeyName(key, "major").abc)
        right = spelling.name(foreign)
        hard = level(quality not in _COMMON, spelling.num_altered(sample) > 0)
        yield Draft(stem, tune, right, others(map(spelling.name, sample), right), hard)


def _spelled(qualities: dict[str, tuple[int, ...]]) -> Chords:
    """Return the chords on `ROOTS` whose notes have at most one accidental each."""
    return {
        (root, quality): [root + step for step in steps]
        for root in ROOTS
        for quality, steps in qualities.items()
        if all(spelling.is_simple(root + step) for step in steps)
    }


def _crossed(draw: random.Random, spelled: Chords, right: tuple[int, str]) -> list[tuple[int, str]]:
    """Sample another root and another quality; return the three other combinations.

    So each root and each quality occurs in two options, and neither reveals the answer.
    """
    pairs = [
        [(right[0], quality), (root, right[1]), (root, quality)]
        for root, quality in spelled
        if quality != right[1] and 0 < abs(root - right[0]) <= 3
    ]
    differs = [
        three
        for three in pairs
        if all(chord in spelled for chord in three)
        and not any(spelling.same_sound(spelled[chord], spelled[right]) for chord in three)
    ]
    return draw.choice(differs)


def _name(root: int, quality: str) -> str:
    return f"{spelling.name(root)} {quality}"


def _listed(notes: list[int]) -> str:
    return " ".join(map(spelling.name, notes))
