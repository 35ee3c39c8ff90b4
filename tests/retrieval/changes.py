"""What players and models do to a tune: notes are split, dotted, changed, and bars are left out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

from musicllm.music.abc import Bar, Note, Score

Change = Callable[[Score, random.Random], Score]


def bars(first: int, last: int) -> Change:
    """Return a change that leaves these bars, from 1."""
    return lambda score, _: replace(score, bars=score.bars[first - 1 : last])


def dotted(score: Score, _: random.Random) -> Score:
    """Make each pair of equal notes a long and a short one."""

    def change(bar: Bar) -> Iterator[Note]:
        notes = list(bar.notes)
        while notes:
            if len(notes) > 1 and notes[0].duration == notes[1].duration:
                long, short = notes.pop(0), notes.pop(0)
                yield replace(long, duration=long.duration * Fraction(3, 2))
                yield replace(short, duration=short.duration / 2)
            else:
                yield notes.pop(0)

    return _with(score, change)


def turned(share: float) -> Change:
    """Return a change that gives so many notes of an eighth or more their upper neighbour."""

    def change_all(score: Score, draw: random.Random) -> Score:
        def change(bar: Bar) -> Iterator[Note]:
            for note in bar.notes:
                if note.pitches and note.duration >= Fraction(1, 8) and draw.random() < share:
                    pitch, part = max(note.pitches), note.duration / 4
                    yield Note((pitch,), 2 * part)
                    yield Note((pitch + 2,), part)
                    yield Note((pitch,), part)
                else:
                    yield note

        return _with(score, change)

    return change_all


def wrong(share: float) -> Change:
    """Return a change that moves so many notes by one to four semitones."""

    def change_all(score: Score, draw: random.Random) -> Score:
        def change(bar: Bar) -> Iterator[Note]:
            for note in bar.notes:
                if note.pitches and draw.random() < share:
                    step = draw.choice([-4, -3, -2, -1, 1, 2, 3, 4])
                    yield replace(note, pitches=(max(note.pitches) + step,))
                else:
                    yield note

        return _with(score, change)

    return change_all


def both(first: Change, second: Change) -> Change:
    """Return one change after the other."""
    return lambda score, draw: second(first(score, draw), draw)


def _with(score: Score, change: Callable[[Bar], Iterator[Note]]) -> Score:
    return replace(score, bars=tuple(bar._replace(notes=tuple(change(bar))) for bar in score.bars))


CHANGES: dict[str, tuple[Change, float]] = {
    "none": (lambda score, _: score, 1.0),
    "bars 1 to 8": (bars(1, 8), 0.95),
    "bars 1 to 4": (bars(1, 4), 0.9),
    "bars 6 to 9": (bars(6, 9), 0.9),
    "bars 6 and 7": (bars(6, 7), 0.75),
    "dotted": (dotted, 0.95),
    "turns, 30 % of the notes": (turned(0.3), 0.95),
    "turns, all notes": (turned(1.0), 0.85),
    "wrong notes, 10 %": (wrong(0.1), 0.97),
    "wrong notes, 20 %": (wrong(0.2), 0.95),
    "wrong notes, 30 %": (wrong(0.3), 0.8),
    "bars 1 to 4, turns, 30 %": (both(bars(1, 4), turned(0.3)), 0.75),
    "bars 1 to 4, wrong notes, 20 %": (both(bars(1, 4), wrong(0.2)), 0.5),
}
"""Change, and the share of tunes that has to be first among their neighbours."""
