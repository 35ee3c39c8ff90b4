"""How much the tunes of a set differ from each other.

A model that writes one good tune again and again does well by every measure of single tunes. All
is about melodies, in whatever key and note values, and depends on how many tunes there are and how
long these are: compare sets of one size.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from musicllm.evals.memorisation import MIN_FIGURES, SAME_MELODY
from musicllm.evals.results import Z95, Metrics, with_interval
from musicllm.music.abc import Score
from musicllm.music.analysis import melodic_fingerprint, melodic_steps

Floats = NDArray[np.float64]

SIZES = (2, 4, 8)
"""Steps of the n-grams that are counted; n steps are n + 1 notes."""


def distinctness(scores: Sequence[Score]) -> Metrics:
    """Measure a set of tunes.

    Returns:
        `distinct_<n>`: different n-grams of steps over all n-grams (distinct-n of Li et al. 2016,
        arXiv 1510.03055). `pairwise_similarity`: mean over all pairs of tunes of the figures that
        they share over those of the one that has fewer; `nearest_similarity`: mean over the tunes
        of that with their most similar other; `same_melodies`: share of the tunes that another one
        is a version of. Bounds are those of the jackknife (Tukey 1958), which leaves out one tune
        at a time. None where there are too few tunes or notes.
    """
    metrics: Metrics = {}
    melodies = [melodic_steps(score) for score in scores]
    for size in SIZES:
        metrics |= _distinct(size, melodies)
    return metrics | _similarities([melodic_fingerprint(score) for score in scores])


def _distinct(size: int, melodies: Sequence[Sequence[object]]) -> Metrics:
    counts = [
        Counter(tuple(melody[i : i + size]) for i in range(len(melody) - size + 1))
        for melody in melodies
    ]
    total = sum(map(Counter.total, counts))
    holders = Counter(gram for own in counts for gram in own)
    left_out = [
        (len(holders) - sum(holders[gram] == 1 for gram in own)) / (total - own.total())
        for own in counts
        if total > own.total()
    ]
    value = len(holders) / total if total else None
    return _bounded(f"distinct_{size}", value, left_out)


def _similarities(figures: Sequence[frozenset[int]]) -> Metrics:
    """Compare all pairs of tunes; short ones, which resemble any tune, are left out."""
    long = [own for own in figures if len(own) >= MIN_FIGURES]
    table = _table(long)
    num_tunes = len(long)
    names = ("pairwise_similarity", "nearest_similarity", "same_melodies")
    if num_tunes < 3:
        return dict.fromkeys(names)
    sums = table.sum(axis=1)
    total, num_pairs = sums.sum() / 2, math.comb(num_tunes, 2)
    without = [(total - own) / math.comb(num_tunes - 1, 2) for own in sums]
    nearest = table.max(axis=1)
    return {
        **_bounded(names[0], total / num_pairs, without),
        **_mean(names[1], nearest),
        **_mean(names[2], (nearest >= SAME_MELODY).astype(np.float64)),
    }


def _table(figures: Sequence[frozenset[int]]) -> Floats:
    """Return the similarity of each pair, 0 on the diagonal: float64 [tunes, tunes]."""
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for number, own in enumerate(figures):
        for figure in own:
            holders[figure].append(number)
    table = np.zeros((len(figures), len(figures)))
    for shared in holders.values():
        for pair in combinations(shared, 2):
            table[pair] += 1
    sizes = np.array([len(own) for own in figures])
    smaller = np.minimum.outer(sizes, sizes) if len(sizes) else np.ones((0, 0))
    return (table + table.T) / smaller


def _mean(name: str, values: Floats) -> Metrics:
    """Return a mean whose terms stay as they are when a tune is left out."""
    total, count = float(values.sum()), len(values)
    return _bounded(name, total / count, [(total - value) / (count - 1) for value in values])


def _bounded(name: str, value: float | None, left_out: Sequence[float]) -> Metrics:
    """Return a share with its jackknife interval."""
    if value is None or len(left_out) < 2:
        return {name: value}
    value = float(value)
    wide = Z95 * math.sqrt(float(np.var(left_out)) * (len(left_out) - 1))
    return with_interval(name, value, (max(0.0, value - wide), min(1.0, value + wide)))
