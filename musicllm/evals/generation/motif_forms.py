"""The form in which a tune has a motif: exact, or varied as composers vary motifs.

Works on notes, wherever they stand in their bars; `music.analysis.count_motif` counts whole bars
that sound the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.music.abc.keys import NATURALS, Key

MIN_VARIED_NOTES = 4
"""A motif of fewer notes only matches exactly: its variations would match anywhere."""


class Sounding(NamedTuple):
    """A note of a melody: highest pitch (MIDI; None for a rest) and duration (whole notes)."""

    pitch: int | None
    duration: Fraction


Melody = Sequence[Sounding]
Heights = list[int | None]


def motif_form(score: abc.Score, motif: str, header: str = "") -> str | None:
    """Return the first of `FORMS` in which the first voice has a motif; None for none of them.

    Args:
        score: the tune.
        motif: bars of ABC.
        header: fields under which they are read; empty for the tune's own key, metre and unit.

    Returns:
        A key of `FORMS`, or None, also when the motif cannot be read.
    """
    motif_bars = read_bars(f"{header or header_of(score)}\n{motif} |")
    if not motif_bars:
        return None
    motif_notes, whole = melody(motif_bars), melody(score.voice())
    size = len(motif_notes)
    windows = [whole[i : i + size] for i in range(len(whole) - size + 1)]
    forms = list(FORMS) if size >= MIN_VARIED_NOTES else ["exact"]
    matches = (
        form
        for form in forms
        if any(FORMS[form](motif_notes, window, score.key) for window in windows)
    )
    return next(matches, None)


def read_bars(text: str) -> tuple[abc.Bar, ...]:
    """Return the bars of a tune or its beginning; empty when it cannot be read."""
    try:
        return abc.parse(text).bars
    except InputError:
        return ()


def header_of(score: abc.Score) -> str:
    """Return fields that read notes as a tune does at its start."""
    return f"X:1\nL:{score.unit_length}\nM:{score.metre_text}\nK:{score.key.name}"


def melody(bars: Sequence[abc.Bar]) -> list[Sounding]:
    """Return the highest notes and the rests of some bars."""
    return [
        Sounding(max(note.pitches, default=None), note.duration)
        for bar in bars
        for note in bar.notes
    ]


def _is_exact(motif: Melody, window: Melody, _key: Key) -> bool:
    return motif == window


def _is_transposed(motif: Melody, window: Melody, key: Key) -> bool:
    """By semitones, or by steps of the scale."""
    return _durations(motif) == _durations(window) and _moves_alike(motif, window, key, 1)


def _is_inverted(motif: Melody, window: Melody, key: Key) -> bool:
    """With rises for falls, by semitones or by steps of the scale."""
    return _durations(motif) == _durations(window) and _moves_alike(motif, window, key, -1)


def _is_retrograde(motif: Melody, window: Melody, _key: Key) -> bool:
    return motif[::-1] == window


def _is_augmented(motif: Melody, window: Melody, _key: Key) -> bool:
    """All durations multiplied by one number, above or below 1."""
    ratios = {after.duration / before.duration for before, after in zip(motif, window, strict=True)}
    return len(ratios) == 1 and _pitches(motif) == _pitches(window)


def _has_pitches(motif: Melody, window: Melody, _key: Key) -> bool:
    return _pitches(motif) == _pitches(window)


def _has_rhythm(motif: Melody, window: Melody, _key: Key) -> bool:
    rests = [note.pitch is None for note in motif] == [note.pitch is None for note in window]
    return rests and _durations(motif) == _durations(window)


FORMS: Mapping[str, Callable[[Melody, Melody, Key], bool]] = {
    "exact": _is_exact,
    "transposed": _is_transposed,
    "augmented": _is_augmented,
    "inverted": _is_inverted,
    "retrograde": _is_retrograde,
    "pitches": _has_pitches,
    "rhythm": _has_rhythm,
}
"""Forms of a motif, the closest first; `pitches` and `rhythm` share only these with it."""

RECOGNISABLE = frozenset(FORMS) - {"pitches", "rhythm"}
"""The forms that take both pitches and rhythm from the motif."""


def _durations(notes: Melody) -> list[Fraction]:
    return [note.duration for note in notes]


def _pitches(notes: Melody) -> Heights:
    return [note.pitch for note in notes]


def _moves_alike(motif: Melody, window: Melody, key: Key, sign: int) -> bool:
    """Say whether the window moves as the motif does, up or (`sign=-1`) upside down."""
    heights, other = _pitches(motif), _pitches(window)
    if _moves(heights, sign) == _moves(other):
        return True
    places, others = _places(heights, key), _places(other, key)
    return None not in (places, others) and _moves(places or [], sign) == _moves(others or [])


def _moves(heights: Heights, sign: int = 1) -> Heights:
    """Return the way from each note to the next; None beside rests."""
    return [None if a is None or b is None else sign * (b - a) for a, b in pairwise(heights)]


def _places(pitches: Heights, key: Key) -> Heights | None:
    """Return pitches as steps of the scale; None when one is outside of it."""
    scale = sorted({(n + alter) % 12 for n, alter in zip(NATURALS, key.signature, strict=True)})
    if any(pitch is not None and pitch % 12 not in scale for pitch in pitches):
        return None
    return [
        None if pitch is None else pitch // 12 * len(scale) + scale.index(pitch % 12)
        for pitch in pitches
    ]
