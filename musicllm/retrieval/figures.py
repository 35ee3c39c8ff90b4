"""What of a melody is looked up: three kinds of figures, each a run of intervals, as hashes.

- steps: runs of six intervals with their ratios of durations
  (`music.analysis.melodic_fingerprint`); few tunes share one, and any note that is added or
  changed breaks six of them.
- intervals: runs of five intervals alone; another rhythm keeps them.
- grid: runs of five intervals between the notes that sound at fixed places of a bar; ornaments
  between these keep them.

None depends on the key. The first two depend on no note values either; the third needs bars that
fit their metre. All three together find more of what was changed than each alone (docs/SIMILAR.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from musicllm.data.ngrams import mix
from musicllm.music.abc import Bar, Score
from musicllm.music.analysis import fingerprint, melodic_steps

INTERVALS_ORDER = 5
GRID_ORDER = 5

Figures = npt.NDArray[np.uint64]

_HELD = np.uint64(64)
"""Code of no interval."""

_KIND_SHIFT = np.uint64(62)
"""The number of a kind stands above the 61 bits of a fingerprint."""


def figures(score: Score) -> Figures:
    """Return the figures of a tune's melody, each once, in order.

    Linear in the number of notes; two milliseconds for a usual tune.
    """
    steps = melodic_steps(score)
    kinds = (
        np.fromiter(fingerprint(steps), np.uint64),
        _runs([interval for interval, _, _ in steps], INTERVALS_ORDER),
        _runs(_between(grid(score)), GRID_ORDER),
    )
    values = [kind | (np.uint64(number) << _KIND_SHIFT) for number, kind in enumerate(kinds)]
    return np.unique(mix(np.concatenate(values)))


def grid(score: Score) -> list[int]:
    """Return the pitches that sound at fixed places of the first voice's bars, as MIDI numbers.

    A bar that divides in halves (4/4, 2/4, 2/2) has four places, another as many as the numerator
    of its length (3/4 and 6/8 three, 9/8 nine). A bar that is shorter than its metre ends with it
    when a section begins, as an upbeat does; other short bars begin with it. Where nothing sounds,
    the note before counts; without a metre there are no places.
    """
    pitches: list[int] = []
    for bar in score.voice():
        for pitch in _places_of(bar):
            if pitch is not None:
                pitches.append(pitch)
            elif pitches:
                pitches.append(pitches[-1])
    return pitches


def _places_of(bar: Bar) -> Iterator[int | None]:
    """Yield the pitch at each place of a bar, None for a rest."""
    if bar.metre is None:
        return
    step = bar.metre / _num_places(bar.metre)
    missing = bar.metre - bar.duration
    time = missing if missing > 0 and bar.opens_section else Fraction(0)
    due = -(-time // step) * step
    for note in bar.notes:
        time += note.duration
        while due < time:
            yield max(note.pitches) if note.pitches else None
            due += step


def _num_places(metre: Fraction) -> int:
    if metre.numerator & (metre.numerator - 1) == 0:
        return 4
    return metre.numerator


def _between(pitches: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise(pitches)]


def _runs(intervals: Sequence[int], order: int) -> Figures:
    """Return hashes below 2**61 of all runs of so many intervals, each once, but of held notes."""
    codes = np.clip(np.array(intervals, np.int64) + 64, 0, 127).astype(np.uint64)
    num_runs = max(0, len(codes) - order + 1)
    values, moves = np.zeros(num_runs, np.uint64), np.zeros(num_runs, np.bool_)
    for place in range(order):
        some = codes[place : place + num_runs]
        values = (values << np.uint64(7)) | some
        moves |= some != _HELD
    return np.unique(values[moves])
