"""Compares the bars of a melody by sound, and groups them into phrases and sections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from musicllm.music.abc import Bar, Score
from musicllm.music.analysis.parts import part_name

PHRASE_BARS = 4
SECTION_BARS = 8
"""Default lengths, as in dances, where no repeat or double bar tells more."""
SAME_SHARE, NEARLY_ALL = 0.5, 0.85
"""Share of equal bars from which two sections are alike: if they start alike, and in general."""

_NUMBER = re.compile(r"([0-9]+)(?:-([0-9]+))?")


@dataclass(frozen=True)
class Section:
    """A part of a tune.

    Attributes:
        bars: indices of its full bars in the voice.
        times: number of plays: 2 if a repeat closes it, more if it has more endings.
        passes: the bars of each different play, with its ending.
        part: name from a `P:`; empty if it has no name; None if no `P:` begins it.
        opens_repeat: a `|:` precedes it.
        closes_repeat: a `:|` is in it or follows it.
    """

    bars: tuple[int, ...]
    times: int
    passes: tuple[tuple[int, ...], ...] = ()
    part: str | None = None
    opens_repeat: bool = False
    closes_repeat: bool = False


def sounds(bars: Sequence[Bar]) -> list[int]:
    """Return a number for each bar: bars with equal pitches and durations share a number."""
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


def alike(first: Sequence[int], second: Sequence[int]) -> bool:
    """Return whether two sections or phrases are variants, from the numbers of their bars.

    At least half of the bars are equal at the same index, likewise in their first halves, the
    first bar included; or nearly all are. Two strains of a dance often end alike but start
    differently; a variation starts alike.
    """
    same = [a == b for a, b in zip(first, second, strict=False)]
    size = max(len(first), len(second), 1)
    opening = same[: (size + 1) // 2]
    starts = opening[:1] == [True] and 2 * sum(opening) >= len(opening)
    share = sum(same) / size
    return share >= NEARLY_ALL or (share >= SAME_SHARE and starts)


def sections(bars: Sequence[Bar], *, marks: bool = True) -> list[Section]:
    """Return the sections of one voice.

    They end at repeats and double bars, and before a `P:` that begins a section. Endings belong to
    the section that they end; bars after a last ending as long as the one before form a new section
    if they are a phrase or more. A voice with none of these is cut every eight bars. Bars shorter
    than the metre belong to no section.

    Args:
        bars: of one voice.
        marks: whether `P:` counts.
    """
    starts = sorted(set(section_starts(bars, marks=marks)))
    result: list[Section] = []
    part: str | None = None
    for start, stop in zip(starts, [*starts[1:], len(bars)], strict=True):
        section = _section(bars, start, stop, marks=marks)
        part = part if section.part is None else section.part
        if section.bars:
            result.append(replace(section, part=part))
            part = None
    if len(result) == 1 and result[0].times == 1:
        whole = result[0].bars
        chunks = [whole[i : i + SECTION_BARS] for i in range(0, len(whole), SECTION_BARS)]
        return [Section(chunk, 1, (chunk,)) for chunk in chunks]
    return result


def played(parts: Sequence[Section]) -> list[int]:
    """Return the indices of sections in the order in which they are played.

    A `:|` goes back to the last `|:`, also over double bars; without one to the start of its
    own section (ABC 2.1, section 4.8).
    """
    order: list[int] = []
    start: int | None = None
    for i, part in enumerate(parts):
        start = i if part.opens_repeat else start
        order.append(i)
        if part.closes_repeat:
            again = range(i if start is None else start, i + 1)
            order += [*again] * (part.times - 1)
            start = None
    return order


def section_starts(bars: Sequence[Bar], *, marks: bool) -> Iterator[int]:
    """Yield the index of the first bar of each section, also of those without a full bar."""
    since_ending = first_ending = 0
    for i, bar in enumerate(bars):
        is_marked = marks and bool(bar.part) and part_name(bar.part) is not None
        if i == 0 or is_marked or (bar.opens_section and not bar.ending):
            since_ending = first_ending = 0
            yield i
        elif bar.ending:
            first_ending, since_ending = since_ending, 1
        elif since_ending:
            if 0 < first_ending == since_ending and _has_phrase(bars[i:]):
                since_ending = first_ending = 0
                yield i
            else:
                since_ending += 1


def _has_phrase(bars: Sequence[Bar]) -> bool:
    """Return whether a phrase or more follows before the next section or ending."""
    for i, bar in enumerate(bars):
        if i and (bar.opens_section or bar.ending):
            return i >= PHRASE_BARS
        if i >= PHRASE_BARS:
            return True
    return len(bars) >= PHRASE_BARS


def _section(bars: Sequence[Bar], start: int, stop: int, *, marks: bool) -> Section:
    """Return the section of some bars, with the endings of each play."""
    full: list[tuple[int, frozenset[int]]] = []
    ending: frozenset[int] = frozenset()
    for i, bar in enumerate(bars[start:stop], start):
        if bar.ending:  # such as `1,3` or `1-3`
            spans = _NUMBER.findall(bar.ending)
            ending = frozenset(n for a, b in spans for n in range(int(a), int(b or a) + 1))
        if bar.metre is None or bar.duration >= bar.metre:
            full.append((i, ending))
    closes = any(bar.closes_repeat for bar in bars[start:stop])
    most = max((number for _, numbers in full for number in numbers), default=0)
    times = max(2, most) if closes else 1
    passes = dict.fromkeys(
        tuple(i for i, numbers in full if not numbers or number in numbers)
        for number in range(1, max(most, 1) + 1)
    )
    return Section(
        tuple(i for i, _ in full),
        times,
        tuple(filter(None, passes)),
        part_name(bars[start].part) if marks and bars[start].part else None,
        bars[start].opens_repeat,
        closes,
    )


def phrase_ends(bars: Sequence[Bar]) -> list[bool]:
    """Return for each bar of one voice whether a phrase ends with it.

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
    """Count the bars of the first voice as musicians do; None where that is ambiguous.

    As written: repeats count once, every ending counts. Short bars, such as an anacrusis and the
    bar that completes it, count as many bars as they fill together; an anacrusis that nothing
    completes is not a bar. Ambiguous are free metre and bars that are longer than the metre.
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
