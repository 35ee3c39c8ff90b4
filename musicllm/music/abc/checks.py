"""Checks that the bars of a tune are as long as its metre requires.

Bars that are too long never fit. A short bar fits when notation explains it: the anacrusis
at the start, a bar next to a repeat, double bar or ending that is completed by the bar that sounds
before or after it, and the two halves of a bar that the end of a phrase divides: a fermata or a
breath on its last note, or a line break (`$`) at the bar line. In free metre every bar fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from musicllm.music.abc.model import Bar, Score
from musicllm.music.abc.tokens import TOKEN

_NAMES = ("fermata", "invertedfermata", "breath", "caesura")
_LENGTHS = ("shortphrase", "mediumphrase", "longphrase")
_PHRASE_ENDS = frozenset(("$", "H", *(f"!{name}!" for name in _NAMES + _LENGTHS)))
_NOTES = frozenset("^_=ABCDEFGabcdefgzx[")
_INLINE_FIELD = re.compile(r"\[[A-Za-z]:")


@dataclass(frozen=True)
class Fault:
    """A bar that does not fit its metre.

    Attributes:
        bar: index into `score.bars`.
        line: line in the tune's text where the bar starts.
        expected: length of a full bar, as a fraction of a whole note.
        actual: length of this bar.
    """

    bar: int
    line: int
    expected: Fraction
    actual: Fraction


@dataclass(frozen=True)
class BarReport:
    """How many bars of a tune fit its metre.

    Attributes:
        num_bars: bars of all voices.
        num_fitting: bars that are full or excused.
        faults: the other bars, in order.
    """

    num_bars: int
    num_fitting: int
    faults: tuple[Fault, ...]

    @property
    def share_fitting(self) -> float:
        """`num_fitting / num_bars`; 0 without bars."""
        return self.num_fitting / self.num_bars if self.num_bars else 0.0


def check(score: Score) -> BarReport:
    """Compare each bar with the metre in force; linear in the number of bars."""
    faults: list[Fault] = []
    indices: dict[str, list[int]] = {}
    for index, bar in enumerate(score.bars):
        indices.setdefault(bar.voice, []).append(index)
    for places in indices.values():
        bars = [score.bars[place] for place in places]
        starts = _section_starts(bars)
        for position, bar in enumerate(bars):
            if bar.metre is None or bar.duration == bar.metre:
                continue
            if bar.duration > bar.metre or not _is_excused(bars, starts, position):
                faults.append(Fault(places[position], bar.line, bar.metre, bar.duration))
    faults.sort(key=lambda fault: fault.bar)
    return BarReport(len(score.bars), len(score.bars) - len(faults), tuple(faults))


def _section_starts(bars: list[Bar]) -> list[int]:
    """Return the start of the section of each bar; endings belong to the section they end."""
    starts, start = [], 0
    for position, bar in enumerate(bars):
        if bar.opens_section and not bar.ending:
            start = position
        starts.append(start)
    return starts


def _is_excused(bars: list[Bar], starts: list[int], position: int) -> bool:
    """Return whether a bar that is too short is an anacrusis or one half of a full bar."""
    if position == 0:
        return len(bars) > 1
    bar = bars[position]
    partners = _partners(bars, starts, position)
    return (
        any(partner != position and _complete(bar, bars[partner]) for partner in partners)
        or _is_divided(bars, position - 1)
        or _is_divided(bars, position)
    )


def _complete(bar: Bar, other: Bar) -> bool:
    return other.metre == bar.metre and other.duration + bar.duration == bar.metre


def _is_divided(bars: list[Bar], first: int) -> bool:
    """Return whether this bar and the next are one bar, divided by the end of a phrase."""
    if first < 0 or first + 1 >= len(bars) or not _complete(bars[first], bars[first + 1]):
        return False
    return bars[first + 1].text.startswith("$") or _ends_phrase(bars[first].text)


def _ends_phrase(text: str) -> bool:
    """Return whether the music ends with a line break, or with a phrase mark on its last note."""
    num_notes = 0
    for token in reversed(TOKEN.findall(text)):
        if token in _PHRASE_ENDS:
            return token != "$" or num_notes == 0
        num_notes += token[0] in _NOTES and not _INLINE_FIELD.match(token)
        if num_notes > 1:
            break
    return False


def _partners(bars: list[Bar], starts: list[int], position: int) -> Iterator[int]:
    """Yield the bars that can complete a short bar."""
    bar = bars[position]
    if bar.closes_section:
        yield 0
        yield starts[position]
        if position + 1 < len(bars):
            yield position + 1
            yield starts[position + 1]
    if bar.opens_section:
        yield position - 1
        yield len(bars) - 1
        for other in range(position, len(bars)):
            if starts[other] != starts[position] and not bars[other].ending:
                break
            if bars[other].closes_section:
                yield other
