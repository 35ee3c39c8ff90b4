"""Questions about bars: notes per bar, metre, and duration at a tempo."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

from musicllm.theory.drafts import Draft, level, others, sample_counts, score
from musicllm.theory.families.values import UNITS, timed

METRES = ("2/4", "3/4", "4/4", "5/4", "2/2", "3/2", "6/4", "3/8", "6/8", "9/8", "12/8", "7/8")
_COMMON = ("2/4", "3/4", "4/4")


def bar_lengths() -> Iterator[Draft]:
    """Number of notes of one length in a bar, and number of missing notes in a bar.

    Harder if the notes are not the beats of the metre, and outside 2/4, 3/4 and 4/4.
    """
    draw = random.Random("bar lengths")
    counts = sorted({full for _, _, full in _countable()})
    for metre, unit, full in _countable():
        hard = level(unit != int(metre.split("/")[1]), metre not in _COMMON)
        stem = f"How many {UNITS[unit]} notes fill one bar of {metre} time?"
        yield Draft(stem, "", str(full), sample_counts(full, draw, _around(counts, full)), hard)
        stem = f"How many {UNITS[unit]} notes are missing to complete the bar of this score?"
        for missing in range(1, min(full, 7)):
            for _ in range(30 if hard == "easy" else 3):
                wrong = sample_counts(missing, draw, range(1, 7))
                tune = score(_filled(draw, full - missing), metre=metre, unit=unit)
                yield Draft(stem, tune, str(missing), wrong, hard)


def metres() -> Iterator[Draft]:
    """The metre of two full bars that are written without one.

    Harder if the unit is not the beat of the metre, and outside 2/4, 3/4 and 4/4.
    """
    draw = random.Random("metres")
    stem = "Which metre has bars as long as those of this score?"
    for metre, unit, full in _countable():
        length = Fraction(metre)
        wrong = [other for other in METRES if Fraction(other) != length]
        wrong.sort(key=lambda other: abs(Fraction(other) - length))
        if metre in _COMMON:
            wrong = [*(other for other in _COMMON if other in wrong), *wrong[:3]]
        near = others(wrong, metre)
        hard = level(unit != int(metre.split("/")[1]), metre not in _COMMON)
        for _ in range(80 if hard == "easy" else 16):
            bars = f"{_filled(draw, full)} | {_filled(draw, full)}"
            tune = score(bars, metre="none", unit=unit)
            yield Draft(stem, tune, metre, near, hard)


def tempo() -> Iterator[Draft]:
    """The duration of a score at its tempo, in seconds.

    Harder if the beat is not a quarter note, and at tempi other than 60 or 120 per minute.
    """
    draw = random.Random("tempo")
    stem = "How many seconds does this score last, played at its tempo?"
    lasting = [
        (metre, beat, per_minute, num_bars, int(lasts))
        for metre in ("2/4", "3/4", "4/4", "6/8", "9/8")
        for beat in (("1/4", "1/2") if metre[-1] == "4" else ("3/8", "1/8"))
        for per_minute in (40, 60, 72, 80, 90, 96, 120, 144)
        for num_bars in (1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 6, 6)
        if (lasts := Fraction(metre) * num_bars / Fraction(beat) * 60 / per_minute) % 1 == 0
    ]
    durations = sorted({seconds for *_, seconds in lasting})
    for metre, beat, per_minute, num_bars, seconds in lasting:
        full = int(Fraction(metre) * 8)
        music = " | ".join(_filled(draw, full) for _ in range(num_bars))
        tune = score(music, metre=metre, unit=8, tempo=f"{beat}={per_minute}")
        hard = level(beat != "1/4", per_minute not in (60, 120))
        wrong = sample_counts(seconds, draw, _around(durations, seconds))
        yield Draft(stem, tune, str(seconds), wrong, hard)


def _countable() -> Iterator[tuple[str, int, int]]:
    """Yield metres with units of which 2 to 24 fill a bar."""
    for metre, unit in product(METRES, UNITS):
        full = Fraction(metre) * unit
        if full.denominator == 1 and 2 <= full <= 24:
            yield metre, unit, int(full)


def _around(counts: Sequence[int], count: int) -> Sequence[int]:
    """Return a count and its neighbours in a sorted list, three on either side."""
    place = counts.index(count)
    return counts[max(0, place - 3) : place + 4]


def _filled(draw: random.Random, num_units: int) -> str:
    """Sample notes of one, two and three units with a total of `num_units`."""
    lengths: list[int] = []
    while sum(lengths) < num_units:
        lengths.append(min(num_units - sum(lengths), draw.choice((1, 1, 2, 2, 3))))
    return timed(draw, [Fraction(length) for length in lengths])
