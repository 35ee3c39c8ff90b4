"""The bars of a melody compared by sound, and how they group into phrases and sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from musicllm.music.abc import Bar, Score

PHRASE_BARS = 4
SECTION_BARS = 8
"""Bars of a phrase and of a section where no repeat or double bar says more: those of dances."""


@dataclass(frozen=True)
class Section:
    """A part of a tune.

    Attributes:
        bars: places of its full bars in the voice.
        times: how often it sounds: 2 when a repeat closes it.
    """

    bars: tuple[int, ...]
    times: int


def sounds(bars: Sequence[Bar]) -> list[int]:
    """Number bars by what they sound like: bars of equal pitches and durations share a number."""
    numbers: dict[object, int] = {}
    return [
        numbers.setdefault(
            tuple(
                (note.pitches, note.duration.numerator, note.duration.denominator)
                for note in bar.notes
            ),
            len(numbers),
        )
        for bar in bars
    ]


def sections(bars: Sequence[Bar]) -> list[Section]:
    """Return the sections of one voice.

    They end at repeats and double bars; endings belong to the section that they end. A voice that
    has neither is cut every eight bars. Bars shorter than the metre belong to none.
    """
    found: list[Section] = []
    current: list[int] = []
    times = 1
    for i, bar in enumerate(bars):
        if bar.metre is None or bar.duration >= bar.metre:
            current.append(i)
        times = 2 if bar.closes_repeat else times
        following = bars[i + 1] if i + 1 < len(bars) else None
        if following is None or (following.opens_section and not following.ending):
            if current:
                found.append(Section(tuple(current), times))
            current, times = [], 1
    if len(found) == 1 and found[0].times == 1:
        whole = found[0].bars
        starts = range(0, len(whole), SECTION_BARS)
        return [Section(whole[i : i + SECTION_BARS], 1) for i in starts]
    return found


def phrase_ends(bars: Sequence[Bar]) -> list[bool]:
    """Say of each bar of one voice whether a phrase ends with it.

    Phrases end with sections and endings, and every four full bars inside a section.
    """
    ends: list[bool] = []
    num_full = 0
    for bar in bars:
        if bar.opens_section and not bar.ending:
            num_full = 0
        num_full += bar.metre is None or bar.duration >= bar.metre
        ends.append(bar.closes_section or (num_full > 0 and num_full % PHRASE_BARS == 0))
    return ends


def count_bars(score: Score) -> int | None:
    """Count the bars of the first voice as musicians do; None where that is open to dispute.

    As written: repeats count once, each ending counts. Short bars, such as an anacrusis and the
    bar that completes it, count as many bars as they fill together; an anacrusis that nothing
    completes is no bar. Disputed are free metre and bars that are longer than the metre.
    """
    full, short = 0, Fraction(0)
    for bar in score.voice():
        if bar.metre is None or bar.duration > bar.metre:
            return None
        if bar.duration == bar.metre:
            full += 1
        else:
            short += bar.duration / bar.metre
    return full + int(short)
