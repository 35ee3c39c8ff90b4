"""How much of a tune's melody stands in the training tunes, in whatever key and note values.

Two views: the longest run of steps (`music.analysis.melodic_steps`) that one training tune holds
too, and the share of figures, runs of six steps, that the most similar training tune has
(`music.analysis.melodic_fingerprint`, by which a corpus is freed of versions of one melody too).
What is copied letter by letter is counted in `copies`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from musicllm.evals.suffixes import SuffixIndex
from musicllm.music import abc
from musicllm.music.analysis import Step, melodic_fingerprint, melodic_steps

SAME_MELODY = 0.6
"""Similarity from which two tunes are versions of one melody; our corpora join tunes from there."""
MIN_FIGURES = 16
"""Melodies with fewer figures, about five bars, are not compared: they share formulas by chance."""

Figures = NDArray[np.uint64]


@dataclass(frozen=True)
class MelodyMatch:
    """What a melody has in common with the training tunes.

    Attributes:
        run_notes: notes of the longest run that one training tune holds too; 0 without one.
        run_share: share of the melody's steps in that run.
        similarity: to the most similar training tune: shared figures over those of the one that has
            fewer; 0 for melodies that are too short to say (`MIN_FIGURES`).
        known_figures: share of the melody's figures that some training tune has; 0 without figures.
        source: index of the most similar training text; -1 when no figure is shared.
    """

    run_notes: int
    run_share: float
    similarity: float
    known_figures: float
    source: int

    @property
    def is_copy(self) -> bool:
        """Whether it is a version of a training tune."""
        return self.similarity >= SAME_MELODY


UNKNOWN = "\1"
"""Stands for a step that no training tune has."""

NO_MATCH = MelodyMatch(0, 0.0, 0.0, 0.0, -1)
"""Of no melody at all."""


class MelodyIndex:
    """The melodies in training texts, read at the first search.

    Reading takes less than a millisecond a tune; 12 bytes for each figure stay, and for each step
    what `SuffixIndex` needs.

    Args:
        texts: training texts; tunes amid prose count, too, and what does not parse is
            left out, since it has no melody.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = texts

    def look_up(self, score: abc.Score) -> MelodyMatch:
        """Return what a tune's melody has in common with the training tunes."""
        spelt = "".join(self._read.letters.get(step, UNKNOWN) for step in melodic_steps(score))
        length, _ = self._runs.longest_run(spelt)
        share = length / len(spelt) if spelt else 0.0
        return MelodyMatch(length + 1 if length else 0, share, *self._nearest(figures(score)))

    def _nearest(self, own: Figures) -> tuple[float, float, int]:
        """Return similarity to the nearest tune, the share of known figures, and its text."""
        values, holders, sizes = self._figures
        first = np.searchsorted(values, own, side="left")
        last = np.searchsorted(values, own, side="right")
        if not (last > first).any():
            return 0.0, 0.0, -1
        matches = np.concatenate([holders[a:b] for a, b in zip(first, last, strict=True)])
        shared = np.bincount(matches, minlength=len(sizes))
        smaller = np.minimum(sizes, len(own))
        similarity = np.where(smaller >= MIN_FIGURES, shared / np.maximum(smaller, 1), 0.0)
        best = int(np.lexsort((shared, similarity))[-1])
        return float(similarity[best]), float(np.mean(last > first)), self._read.sources[best]

    @cached_property
    def _read(self) -> _Melodies:
        """The melodies of all training tunes."""
        melodies = _Melodies()
        for number, text in enumerate(self._texts):
            for score in _scores(text):
                melodies.add(number, score)
        return melodies

    @cached_property
    def _figures(self) -> tuple[Figures, NDArray[np.int32], NDArray[np.int64]]:
        """All figures in order, which tune has each, and how many each tune has."""
        parts = self._read.figures
        sizes = np.array([len(part) for part in parts], dtype=np.int64)
        values = np.concatenate([np.zeros(0, np.uint64), *parts])
        order = np.argsort(values, kind="stable")
        holders = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
        return values[order], holders[order], sizes

    @cached_property
    def _runs(self) -> SuffixIndex:
        return SuffixIndex(self._read.spelt)


@dataclass
class _Melodies:
    """Melodies that were read.

    Attributes:
        sources: of each, the index of its text.
        spelt: its steps, a character each.
        figures: its figures.
        letters: the character of each step that came so far.
    """

    sources: list[int] = field(default_factory=list)
    spelt: list[str] = field(default_factory=list)
    figures: list[Figures] = field(default_factory=list)
    letters: dict[Step, str] = field(default_factory=dict)

    def add(self, source: int, score: abc.Score) -> None:
        """Add a tune."""
        letters = self.letters
        self.sources.append(source)
        self.figures.append(figures(score))
        self.spelt.append(
            "".join(
                letters.setdefault(step, _character(len(letters))) for step in melodic_steps(score)
            )
        )


def figures(score: abc.Score) -> Figures:
    """Return the figures of a tune's melody in order, each once."""
    return np.array(sorted(melodic_fingerprint(score)), dtype=np.uint64)


def _scores(text: str) -> Iterator[abc.Score]:
    """Yield the tunes in a text that can be read."""
    for place in abc.find_tunes(text):
        try:
            yield abc.parse(text[place.start : place.stop])
        except abc.AbcError:
            continue


def _character(number: int) -> str:
    """Return a character for a number below a million, not `BETWEEN`, `UNKNOWN` or a surrogate."""
    return chr(number + 2 if number + 2 < 0xD800 else number + 2 + 0x800)
