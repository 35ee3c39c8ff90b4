"""How a tune is built: its length, its repeats, and how much of it is repetition.

Of the first voice, whatever the request. High is not good by itself: tunes repeat themselves in
part, and neither a tune without any repetition nor one bar over and over is one. Read the figures
beside those of the held-out tunes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean

from musicllm.music import abc
from musicllm.music.analysis.sections import alike, phrase_ends, sections, sounds


@dataclass(frozen=True)
class Structure:
    """How one tune is built.

    Attributes:
        num_notes: notes of all voices, rests left out; a chord is one.
        num_sections: as `music.analysis.sections` cuts them, repeats counted once.
        has_repeats: whether a repeat sign closes a section.
        repeated_share: share of the full bars in sections that are played twice.
        phrase_repetition: share of the phrases heard, repeats played out, that were heard before:
            as `form` compares sections (`sections.alike`).
        bar_repetition: share of the bars as written that sound like an earlier one.
        self_similarity: mean over the bars of how much the most similar other bar has in common:
            notes with equal onset, pitch and duration over all notes of the two (Jaccard).
    """

    num_notes: int
    num_sections: int
    has_repeats: bool
    repeated_share: float
    phrase_repetition: float
    bar_repetition: float
    self_similarity: float


def structure(score: abc.Score) -> Structure:
    """Return how a tune is built; quadratic in the number of different bars."""
    bars = score.voice()
    numbers = sounds(bars)
    parts = sections(bars, marks=False)
    num_full = sum(len(part.bars) for part in parts)
    twice = [part for part in parts if part.times > 1]
    return Structure(
        num_notes=sum(bool(note.pitches) for bar in score.bars for note in bar.notes),
        num_sections=len(parts),
        has_repeats=any(bar.closes_repeat for bar in bars),
        repeated_share=sum(len(part.bars) for part in twice) / num_full if num_full else 0.0,
        phrase_repetition=_phrase_repetition(bars, numbers),
        bar_repetition=1 - len(set(numbers)) / len(numbers),
        self_similarity=_self_similarity(bars, numbers),
    )


def _phrase_repetition(bars: Sequence[abc.Bar], numbers: Sequence[int]) -> float:
    times = {place: part.times for part in sections(bars, marks=False) for place in part.bars}
    different: list[list[int]] = []
    num_phrases = 0
    for places in _phrases(bars, times):
        content = [numbers[place] for place in places]
        num_phrases += times[places[0]]
        if not any(alike(content, other) for other in different):
            different.append(content)
    return 1 - len(different) / num_phrases if num_phrases else 0.0


def _phrases(bars: Sequence[abc.Bar], full: dict[int, int]) -> list[list[int]]:
    """Return the places of the full bars of each phrase."""
    phrases: list[list[int]] = [[]]
    for place, ends in enumerate(phrase_ends(bars)):
        phrases[-1] += [place] if place in full else []
        if ends:
            phrases.append([])
    return [phrase for phrase in phrases if phrase]


def _self_similarity(bars: Sequence[abc.Bar], numbers: Sequence[int]) -> float:
    if len(bars) < 2:
        return 0.0
    contents = {number: _onsets(bar) for number, bar in zip(numbers, bars, strict=True)}
    counts = {number: numbers.count(number) for number in contents}
    nearest = {
        number: 1.0
        if counts[number] > 1
        else max(_common(own, other) for key, other in contents.items() if key != number)
        for number, own in contents.items()
    }
    return fmean(nearest[number] for number in numbers)


Sounds = frozenset[tuple[Fraction, tuple[int, ...], Fraction]]
"""Onset, pitches and duration of each note and rest of a bar."""


def _onsets(bar: abc.Bar) -> Sounds:
    onset = Fraction(0)
    onsets = []
    for note in bar.notes:
        onsets.append((onset, note.pitches, note.duration))
        onset += note.duration
    return frozenset(onsets)


def _common(first: Sounds, second: Sounds) -> float:
    return len(first & second) / len(first | second) if first or second else 1.0
