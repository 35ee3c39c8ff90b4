"""Whether a tune meets the conditions of its request, one number for each condition.

Without the condition the number is None. An answer that is no tune meets none: False or 0.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from musicllm.evals.generation.motif_forms import motif_form, read_bars
from musicllm.evals.requests import Request
from musicllm.music import abc
from musicllm.music.abc.chord_symbols import read_chord
from musicllm.music.analysis import (
    chord_tones,
    count_motif,
    form,
    key_fit,
    root_pitch_class,
    terms,
)
from musicllm.music.analysis.chords import quoted_symbols
from musicllm.music.analysis.sections import sounds

NOT_FOUND = "none"
"""The form of a motif that the tune does not have."""

_TERM = re.compile(r"'([^']*)'")


@dataclass(frozen=True)
class Adherence:
    """Which conditions of its request a tune meets; None where the request has none.

    Attributes:
        metre_as_asked: the metre at the start is the one asked for.
        key_as_asked: the key at the start is.
        key_fit_as_asked: share of sounding time in the scale of the key asked for.
        rhythm_as_asked: `R:` names the type asked for.
        chords_as_asked: the chords are those asked for, in order: root and tones, whatever their
            spelling; bass notes and alternatives aside.
        chord_adherence: 1 less the edits that turn one sequence of chords into the other, over the
            length of the longer (Levenshtein).
        motif_as_asked: the motif's bars stand in the first voice.
        motif_times: how often.
        motif_form: the closest of `motif_forms.FORMS` in which the tune has it, or `none`.
        form_as_asked: the letters are those asked for, or all terms asked for apply; by sound:
            what a `P:` in the answer claims does not count.
        form_adherence: 1 less the edits between the letters, over the length of the longer; where
            terms were asked for, the share of them that apply.
        first_bars_as_asked: the tune starts with the bars given.
        first_bars_kept: share of the bars given that sound in their place.
    """

    metre_as_asked: bool | None = None
    key_as_asked: bool | None = None
    key_fit_as_asked: float | None = None
    rhythm_as_asked: bool | None = None
    chords_as_asked: bool | None = None
    chord_adherence: float | None = None
    motif_as_asked: bool | None = None
    motif_times: int | None = None
    motif_form: str | None = None
    form_as_asked: bool | None = None
    form_adherence: float | None = None
    first_bars_as_asked: bool | None = None
    first_bars_kept: float | None = None


def adherence(request: Request, score: abc.Score | None) -> Adherence:
    """Compare a tune with its request.

    Args:
        request: with its conditions.
        score: the answer; None when it is no tune.
    """
    conditions, stated = request.conditions, request.stated
    chord = _chords(conditions["chords"], score) if "chords" in conditions else None
    form_share = _form(request, score)
    opening = _first_bars(conditions["opening"], score) if "opening" in conditions else None
    times, form_of_motif = _motif(request, score) if "motif" in conditions else (None, None)
    return Adherence(
        metre_as_asked=_agrees(stated.metre, score and score.metre_text),
        key_as_asked=_agrees(stated.key, score and score.key),
        key_fit_as_asked=None if stated.key is None else _fit(score, stated.key),
        rhythm_as_asked=_rhythm(conditions.get("rhythm"), score),
        chords_as_asked=_whole(chord),
        chord_adherence=chord,
        motif_as_asked=None if times is None else times > 0,
        motif_times=times,
        motif_form=form_of_motif,
        form_as_asked=_whole(form_share),
        form_adherence=form_share,
        first_bars_as_asked=_whole(opening),
        first_bars_kept=opening,
    )


def edit_similarity(first: Sequence[Hashable], second: Sequence[Hashable]) -> float:
    """Return 1 less the Levenshtein distance over the length of the longer; 1 for two empty ones.

    Quadratic in the lengths.
    """
    row = list(range(len(second) + 1))
    for i, item in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            changed = before + (item != other)
            before = row[j]
            row[j] = min(row[j] + 1, row[j - 1] + 1, changed)
    longer = max(len(first), len(second))
    return 1 - row[-1] / longer if longer else 1.0


def _agrees(requested: object | None, actual: object | None) -> bool | None:
    return None if requested is None else requested == actual


def _whole(share: float | None) -> bool | None:
    return None if share is None else share == 1.0


def _fit(score: abc.Score | None, key: abc.Key) -> float:
    """Return the share of sounding time in the scale of a key, whatever key the tune names."""
    if score is None:
        return 0.0
    bars = tuple(bar._replace(key=key) for bar in score.bars)
    return key_fit(replace(score, bars=bars))


def _rhythm(requested: str | None, score: abc.Score | None) -> bool | None:
    """`tune` is what requests say where the tune names no type; every tune is one."""
    if requested is None or requested == "tune":
        return None
    return score is not None and score.header.get("R", "").strip().lower() == requested.lower()


def _chords(requested: str, score: abc.Score | None) -> float:
    symbols = quoted_symbols(score.source) if score else ()
    return edit_similarity([*map(_meaning, requested.split())], [*map(_meaning, symbols)])


def _meaning(symbol: str) -> Hashable:
    """Return what makes chords equal: root and tones, or the name where it has none."""
    root, chord = root_pitch_class(symbol), read_chord(symbol)
    if root is None:
        return chord.symbol if chord else symbol
    return root, chord_tones(symbol)


def _motif(request: Request, score: abc.Score | None) -> tuple[int, str]:
    if score is None:
        return 0, NOT_FOUND
    motif, header = request.conditions["motif"], request.conditions.get("header", "")
    return count_motif(score, motif), motif_form(score, motif, header) or NOT_FOUND


def _form(request: Request, score: abc.Score | None) -> float | None:
    letters, named = request.conditions.get("form"), request.conditions.get("terms")
    if letters is None and named is None:
        return None
    if score is None:
        return 0.0
    if letters is not None:
        return edit_similarity(letters, form(score, marks=False))
    asked_for = _TERM.findall(named or "")
    return sum(name in terms(score, marks=False) for name in asked_for) / max(len(asked_for), 1)


def _first_bars(opening: str, score: abc.Score | None) -> float | None:
    """Return the share of the opening's bars that the tune keeps; None if they cannot be read."""
    bars = read_bars(opening)
    if not bars or score is None:
        return 0.0 if bars else None
    numbers = sounds((*bars, *score.voice()))
    pairs = zip(numbers[: len(bars)], numbers[len(bars) :], strict=False)
    return sum(bar == other for bar, other in pairs) / len(bars)
