"""Harmonises tunes: one chord per bar or half bar, from the scale of the key.

Follows functional harmony as textbooks teach it (for example Piston, Harmony, 1941):
chords of the scale act as tonic, subdominant or dominant; they move from tonic via subdominant to
dominant and back, and phrases close on the tonic, or halfway on the dominant. The fit of a chord is
the share of the bar, weighted by the strength of the beat, that sounds notes of the chord. The best
sequence is found by dynamic programming. The weights below are ours, tuned by ear on dance tunes;
their unit is the fit of one bar, from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from musicllm.music.abc import Bar, Key, Score
from musicllm.music.abc.keys import LETTERS, NATURALS
from musicllm.music.abc.rhythm import TICKS
from musicllm.music.analysis.chords import PlacedChord, chord_tones
from musicllm.music.analysis.sections import phrase_ends

PRIORS = (0.12, 0.0, -0.06, 0.08, 0.1, 0.02, 0.0)
"""Weight of the chord on each degree of the scale, first to seventh."""
SEVENTH_PRIOR = 0.02
FLAT_SEVENTH_PRIOR = 0.08
"""Weight of the dominant seventh, and of the seventh degree a whole tone below the tonic."""
FUNCTIONS = "TSTSDTD"
"""Tonic, subdominant or dominant, by degree."""
MOVES = {"TT": 0.0, "TS": 0.05, "TD": 0.05, "SS": 0.0, "SD": 0.06, "ST": 0.02, "DD": 0.0}
MOVES |= {"DT": 0.08, "DS": -0.1}
"""Weight of moving from one function to another."""
STAY = 0.03
CHANGE_INSIDE_BAR = -0.25
"""Weight of keeping the chord over a bar line, and of changing it inside the bar."""
OPEN, CLOSE, CLOSE_HALF, CLOSE_TUNE, PREPARE = 0.2, 0.25, 0.12, 0.5, 0.1
"""Weight of the tonic at the tune's start and at phrase ends, the dominant there, the tonic at the
tune's end, and a dominant before an end."""
STRENGTHS = (1.0, 0.8, 0.65, 0.4)
"""Weight of a note that starts with the bar, with its second half, with a beat, or elsewhere."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Slot:
    """A bar or half bar, which takes one chord."""

    bar: int
    note: int
    weights: list[float]
    size: float
    ends_phrase: bool


@dataclass(frozen=True)
class _Chords:
    """The C chords of a key.

    Attributes:
        symbols: of the chords.
        tones: 1 where a pitch class belongs to a chord, float64 [12, C].
        prior: weight, [C].
        moves: weight of moving from one to another over a bar line, [C, C].
        inside: likewise inside a bar.
        close: weight at a phrase's end, [C].
        is_tonic: 1 for the tonic, [C].
        prepare: weight before a phrase's end, [C].
    """

    symbols: tuple[str, ...]
    tones: Floats
    prior: Floats
    moves: Floats
    inside: Floats
    close: Floats
    is_tonic: Floats
    prepare: Floats


def harmonize(score: Score) -> tuple[PlacedChord, ...]:
    """Return a chord for each bar or half bar of a tune.

    Half bars occur only in metres of four or six beats, where a note starts halfway. Every bar
    starts with a symbol; half bars have one if the chord changes. An anacrusis has none.
    Empty if the tune has several voices, no key, changes of key or metre, free metre, or bars
    of rest written as one (`Z4`). Linear in the number of bars.
    """
    if not _is_plain(score):
        return ()
    vocabulary = _chords_of(score.key)
    slots = list(_slots(score))
    if not slots or len(vocabulary.symbols) < 3:
        return ()
    path = _best_path(slots, vocabulary)
    placed = []
    for i, (slot, chord) in enumerate(zip(slots, path, strict=True)):
        if i == 0 or slots[i - 1].bar != slot.bar or path[i - 1] != chord:
            placed.append(PlacedChord(slot.bar, slot.note, vocabulary.symbols[chord]))
    return tuple(placed)


def _is_plain(score: Score) -> bool:
    first = score.bars[0]
    return (
        score.metre is not None
        and score.key.tonic_pitch_class is not None
        and all(
            bar.voice == first.voice
            and bar.metre == score.metre
            and bar.key == score.key
            and "Z" not in bar.text
            for bar in score.bars
        )
    )


def _slots(score: Score) -> Iterator[_Slot]:
    """Yield the slots of a tune."""
    beats, unit = (int(number) for number in score.metre_text.split("/"))
    full = TICKS * beats // unit
    half = full // 2 if beats in (4, 6, 12) or score.metre_text == "2/2" else 0
    beat = TICKS * 3 // unit if unit == 8 and beats % 3 == 0 else TICKS // unit
    ends = phrase_ends(score.bars)
    for index, bar in enumerate(score.bars):
        ticks = [n.duration.numerator * (TICKS // n.duration.denominator) for n in bar.notes]
        if sum(ticks) < full and bar.opens_section:
            continue
        cut = half if sum(ticks) == full and half and _starts_at(ticks, half) else 0
        yield from _cut(index, bar, ticks, (full, cut, beat), ends[index])


def _starts_at(ticks: list[int], place: int) -> bool:
    position = 0
    for length in ticks:
        if position >= place:
            break
        position += length
    return position == place


def _cut(
    index: int, bar: Bar, ticks: list[int], lengths: tuple[int, int, int], ends: bool
) -> Iterator[_Slot]:
    """Yield the one or two slots of a bar."""
    full, cut, beat = lengths
    weights, position, first, begin = [0.0] * 12, 0, 0, 0
    for number, (note, length) in enumerate(zip(bar.notes, ticks, strict=True)):
        if cut and position == cut:
            yield _Slot(index, first, weights, (position - begin) / full, ends_phrase=False)
            weights, first, begin = [0.0] * 12, number, position
        if note.pitches:
            off = (
                0
                if position == 0
                else 1
                if position * 2 == full
                else 2
                if position % beat == 0
                else 3
            )
            weights[max(note.pitches) % 12] += length * STRENGTHS[off]
        position += length
    yield _Slot(index, first, weights, min(1.0, (position - begin) / full), ends)


def _best_path(slots: list[_Slot], chords: _Chords) -> list[int]:
    """Return the chord of each slot in the sequence with the highest score (Viterbi)."""
    weights = np.array([slot.weights for slot in slots])
    sizes = np.array([slot.size for slot in slots])
    totals = np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    scores = (weights / totals @ chords.tones + chords.prior) * sizes[:, None]
    for i, slot in enumerate(slots):
        if slot.ends_phrase:
            scores[i] += chords.close
            if i:
                scores[i - 1] += chords.prepare
    scores[0] += OPEN * chords.is_tonic
    scores[-1] += CLOSE_TUNE * chords.is_tonic
    best = scores[0]
    choices = []
    for i in range(1, len(slots)):
        moves = chords.moves if slots[i].bar != slots[i - 1].bar else chords.inside
        reached = best[:, None] + moves
        choices.append(reached.argmax(axis=0))
        best = reached.max(axis=0) + scores[i]
    path = [int(best.argmax())]
    for choice in reversed(choices):
        path.append(int(choice[path[-1]]))
    return path[::-1]


@lru_cache(maxsize=256)
def _chords_of(key: Key) -> _Chords:
    """Return the major and minor triads of a key's scale, and its V7."""
    chords = list(_degrees(key))
    symbols = tuple(symbol for symbol, _, _ in chords)
    degrees = [degree for _, degree, _ in chords]
    tones = np.array([[float(pc in chord_tones(s)) for s in symbols] for pc in range(12)])
    roles = [FUNCTIONS[degree] for degree in degrees]
    moves = np.array([[MOVES[a + b] for b in roles] for a in roles])
    np.fill_diagonal(moves, STAY)
    inside = moves + CHANGE_INSIDE_BAR
    np.fill_diagonal(inside, 0.0)
    is_tonic = np.array([float(degree == 0) for degree in degrees])
    is_fifth = np.array([float(degree == 4) for degree in degrees])
    is_dominant = np.array([float(role == "D") for role in roles])
    return _Chords(
        symbols,
        tones,
        np.array([prior for _, _, prior in chords]),
        moves,
        inside,
        CLOSE * is_tonic + CLOSE_HALF * is_fifth,
        is_tonic,
        PREPARE * is_dominant,
    )


def _degrees(key: Key) -> Iterator[tuple[str, int, float]]:
    """Yield symbol, degree (0 to 6) and prior of each chord of a key."""
    tonic = LETTERS.index(key.tonic[0])
    steps = [(tonic + degree) % 7 for degree in range(7)]
    pitches = [NATURALS[step] + key.signature[step] for step in steps]
    whole_below = (pitches[0] - pitches[6]) % 12 == 2
    for degree, step in enumerate(steps):
        alter = key.signature[step]
        third = (pitches[(degree + 2) % 7] - pitches[degree]) % 12
        fifth = (pitches[(degree + 4) % 7] - pitches[degree]) % 12
        if abs(alter) > 1 or fifth != 7 or third not in (3, 4):
            continue
        root = LETTERS[step] + ("", "#", "b")[alter]
        flat_seventh = degree == 6 and whole_below
        prior = FLAT_SEVENTH_PRIOR if flat_seventh else PRIORS[degree]
        yield root + ("m" if third == 3 else ""), degree, prior
        if degree == 4 and key.mode == "minor":
            yield root, degree, prior
        if degree == 4 and key.mode in ("major", "minor"):
            yield f"{root}7", degree, SEVENTH_PRIOR
