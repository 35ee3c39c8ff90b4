"""Chords, motif and sections of a tune, read from its bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from musicllm.music.abc import Bar, Score, canonical_bar

_SAME_SHARE = 0.5
_PHRASE_BARS = 8

Content = tuple[tuple[tuple[int, ...], Fraction], ...]


def chords(score: Score) -> tuple[str, ...]:
    """Return the chord symbols in order, all voices, as they are written (repeats once)."""
    return tuple(note.chord_symbol for bar in score.bars for note in bar.notes if note.chord_symbol)


def motif(score: Score) -> str:
    """Return the pattern of one or two bars that covers most of the tune, as ABC.

    Patterns are compared by sound in the first voice; only those that come twice or more count,
    bars of rests do not. Of equal cover the longer wins, then the earlier. Where nothing repeats,
    the first two full bars are the motif. The text is in canonical form, bars joined by ` | `.
    """
    bars = score.voice()
    contents = [_content(bar) for bar in bars]
    full = [i for i, bar in enumerate(bars) if bar.metre is None or bar.duration == bar.metre]
    sounding = [i for i in full if any(pitches for pitches, _ in contents[i])]
    opening = sounding[0] if sounding else 0
    best, best_cover = tuple(i for i in (opening, opening + 1) if i in sounding) or (0,), 0
    for length in (2, 1):
        starts = [i for i in full if all(i + k in full for k in range(length))]
        counts: Counter[tuple[Content, ...]] = Counter()
        for i in starts:
            pattern = tuple(contents[i : i + length])
            counts[pattern] += any(pitches for bar in pattern for pitches, _ in bar)
        for i in starts:
            count = counts[tuple(contents[i : i + length])]
            if count > 1 and count * length > best_cover:
                best, best_cover = tuple(range(i, i + length)), count * length
    return " | ".join(canonical_bar(bars[i].text) for i in best)


def form(score: Score) -> str:
    """Return the sections of the first voice as letters, such as `AABB`.

    Sections end at repeats and double bars; a repeated one counts twice. A tune that has none is
    cut every eight bars. Sections of which at least half the bars sound the same in the same
    place share a letter (A to Z, then `?`). Bars shorter than
    the metre are not compared; a tune of such bars alone is `A`.
    """
    letters = ""
    known: list[list[Content]] = []
    for bars, times in _sections(score.voice()):
        contents = [_content(bar) for bar in bars]
        alike = (i for i, other in enumerate(known) if _share_same(contents, other) >= _SAME_SHARE)
        index = next(alike, len(known))
        if index == len(known):
            known.append(contents)
        letters += (chr(ord("A") + index) if index < 26 else "?") * times
    return letters or "A"


def _content(bar: Bar) -> Content:
    """Return what a bar sounds like."""
    return tuple((note.pitches, note.duration) for note in bar.notes)


def _sections(bars: Sequence[Bar]) -> list[tuple[list[Bar], int]]:
    """Return the full bars of each section and how often it sounds."""
    sections: list[tuple[list[Bar], int]] = []
    current: list[Bar] = []
    times = 1
    for i, bar in enumerate(bars):
        if bar.metre is None or bar.duration >= bar.metre:
            current.append(bar)
        times = 2 if bar.closes_repeat else times
        following = bars[i + 1] if i + 1 < len(bars) else None
        if following is None or (following.opens_section and not following.ending):
            if current:
                sections.append((current, times))
            current, times = [], 1
    if len(sections) == 1 and sections[0][1] == 1:
        whole = sections[0][0]
        return [(whole[i : i + _PHRASE_BARS], 1) for i in range(0, len(whole), _PHRASE_BARS)]
    return sections


def _share_same(first: Sequence[Content], second: Sequence[Content]) -> float:
    """Return the share of bars that are equal in the same place."""
    same = sum(a == b for a, b in zip(first, second, strict=False))
    return same / max(len(first), len(second))
