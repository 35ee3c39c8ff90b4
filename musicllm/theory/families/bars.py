"""Bars: how many notes fill them, which metre they have, how long they last at a tempo."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

from musicllm.theory.drafts import Draft, drawn_counts, level, others, score
from musicllm.theory.families.values import UNITS, timed

METRES = ("2/4", "3/4", "4/4", "5/4", "2/2", "3/2", "6/4", "3/8", "6/8", "9/8", "12/8", "7/8")
_COMMON = ("2/4", "3/4", "4/4")


def bar_lengths() -> Iterator[Draft]:
    """Ask how many notes of one length fill a bar, and how many a written bar lacks.

    Harder where the notes are not the metre's beats, and outside 2/4, 3/4 and 4/4.
    """
    draw = random.Random("bar lengths")
    known = sorted({full for _, _, full in _countable()})
    for metre, unit, full in _countable():
        hard = level(unit != int(metre.split("/")[1]), metre not in _COMMON)
        stem = f"How many {UNITS[unit]} notes fill one bar of {metre} time?"
        yield Draft(stem, "", str(full), drawn_counts(full, draw, _around(known, full)), hard)
        stem = f"How many {UNITS[unit]} notes are missing to complete the bar of this score?"
        for missing in range(1, min(full, 7)):
            for _ in range(30 if hard == "easy" else 3):
                wrong = drawn_counts(missing, draw, range(1, 7))
                written = score(_filled(draw, full - missing), metre=metre, unit=unit)
                yield Draft(stem, written, str(missing), wrong, hard)


def metres() -> Iterator[Draft]:
    """Ask for the metre of two full bars that are written without one.

    Harder where the unit is not the metre's beat, and outside 2/4, 3/4 and 4/4.
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
            written = score(bars, metre="none", unit=unit)
            yield Draft(stem, written, metre, near, hard)


def tempo() -> Iterator[Draft]:
    """Ask how many seconds a score lasts at its tempo.

    Harder where the beat is no quarter note, and with other than 60 or 120 beats a minute.
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
    known = sorted({seconds for *_, seconds in lasting})
    for metre, beat, per_minute, num_bars, seconds in lasting:
        full = int(Fraction(metre) * 8)
        music = " | ".join(_filled(draw, full) for _ in range(num_bars))
        written = score(music, metre=metre, unit=8, tempo=f"{beat}={per_minute}")
        hard = level(beat != "1/4", per_minute not in (60, 120))
        wrong = drawn_counts(seconds, draw, _around(known, seconds))
        yield Draft(stem, written, str(seconds), wrong, hard)


def _countable() -> Iterator[tuple[str, int, int]]:
    """Yield metres with a unit that 2 to 24 times fills their bar."""
    for metre, unit in product(METRES, UNITS):
        full = Fraction(metre) * unit
        if full.denominator == 1 and 2 <= full <= 24:
            yield metre, unit, int(full)


def _around(known: Sequence[int], count: int) -> Sequence[int]:
    """Return a count of sorted ones with its neighbours, three on either side."""
    place = known.index(count)
    return known[max(0, place - 3) : place + 4]


def _filled(draw: random.Random, num_units: int) -> str:
    """Draw notes of one, two and three units that last `num_units` together."""
    lengths: list[int] = []
    while sum(lengths) < num_units:
        lengths.append(min(num_units - sum(lengths), draw.choice((1, 1, 2, 2, 3))))
    return timed(draw, [Fraction(length) for length in lengths])
