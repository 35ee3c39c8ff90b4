"""How much of a tune stands word for word in the training text.

The longest run of characters that a tune shares with one training tune is found exactly, in a
suffix array over the bodies (Manber and Myers 1993). Headers and white space are left out, since
titles, keys and line ends are not what is copied. Transposed copies are other characters and are
not found; judge the figures beside those of the held-out tunes, which share formulas and
near-variants with the training tunes too.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from musicllm.music import abc

BETWEEN = "\0"
"""Stands between training tunes; no tune holds it, so no run crosses from one into another."""

NEAR_COPY_SHARE = 0.5
NEAR_COPY_CHARACTERS = 32
"""A tune is a near-copy when one run makes up this share of it or more, and is not shorter than
this many characters, about four bars, which short tunes share by chance."""


@dataclass(frozen=True)
class Run:
    """The longest run of a tune that stands in a training text.

    Attributes:
        length: in characters of the body.
        share: of the body; 0 for an empty one.
        source: index of a training text that holds it; -1 when no character is shared.
    """

    length: int
    share: float
    source: int

    @property
    def is_near_copy(self) -> bool:
        """Whether the run is large enough, in share and in length."""
        return self.share >= NEAR_COPY_SHARE and self.length >= NEAR_COPY_CHARACTERS


class CopyIndex:
    """An index over training texts; N is the number of their characters.

    Building takes O(N log N log R) time, where R is the longest run that occurs twice, and about
    60 bytes of memory per character while it lasts (8 N stay). A search takes
    O(L M log N) for a tune of L characters whose slices of at most M = L are compared.

    Args:
        texts: training texts; what is not ABC counts as one body.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        bodies = [body(text) for text in texts]
        self._text = BETWEEN.join(bodies)
        self._starts = np.cumsum([0, *(len(each) + 1 for each in bodies)])
        self._order = suffix_array(self._text)

    @property
    def num_characters(self) -> int:
        """Characters of all bodies, with one between each two."""
        return len(self._text)

    def longest_run(self, text: str) -> Run:
        """Return the longest run of a tune's body that stands in one training text."""
        own = body(text).replace(BETWEEN, "")
        best, place = 0, -1
        for start in range(len(own)):
            if best >= len(own) - start:
                break
            length, found = self._longest_at(own[start:])
            if length > best:
                best, place = length, found
        source = int(np.searchsorted(self._starts, place, side="right")) - 1 if best else -1
        return Run(best, best / len(own) if own else 0.0, source)

    def _longest_at(self, wanted: str) -> tuple[int, int]:
        """Return the length of the longest beginning of `wanted` in the text, and its place."""
        size = len(wanted)
        position = bisect_left(
            self._order, wanted, key=lambda place: self._text[place : place + size]
        )
        neighbours = self._order[max(position - 1, 0) : position + 1]
        runs = [
            (_num_equal(wanted, self._text[place : place + size]), int(place))
            for place in neighbours
        ]
        return max(runs, default=(0, -1))


def body(text: str) -> str:
    """Return what follows a tune's first `K:` line, or the whole text, without white space."""
    lines = abc.unfold(text).split("\n")
    key = next((number for number, line in enumerate(lines) if line.startswith("K:")), -1)
    return "".join("".join(lines[key + 1 :]).split())


def _num_equal(first: str, second: str) -> int:
    """Return how many characters both begin with."""
    pairs = zip(first, second, strict=False)
    unequal = (place for place, (one, other) in enumerate(pairs) if one != other)
    return next(unequal, min(len(first), len(second)))


def suffix_array(text: str) -> NDArray[np.int64]:
    """Return the places of a text's suffixes in the order of the suffixes, by prefix doubling."""
    ranks = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32).astype(np.int64)
    order = np.argsort(ranks, kind="stable")
    width = 1
    while len(ranks):
        ranks = _ranks(ranks, order)
        if ranks[order[-1]] == len(ranks) - 1:
            break
        behind = np.zeros_like(ranks)
        behind[:-width] = ranks[width:] + 1
        ranks = ranks * (len(ranks) + 1) + behind
        order = np.argsort(ranks, kind="stable")
        width *= 2
    return order


def _ranks(keys: NDArray[np.int64], order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return 0, 1, 2, ... for the keys from the least; equal keys have equal ranks."""
    ranked = keys[order]
    ranks = np.empty_like(keys)
    ranks[order] = np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])])
    return ranks
