"""The longest run of characters that a text shares with one of many, found exactly.

A suffix array over all of them (Manber and Myers 1993). Knows nothing of music: `copies` searches
the letters of tunes with it, `memorisation` their steps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BETWEEN = "\0"
"""Stands between texts; no text holds it, so no run crosses from one into another."""


class SuffixIndex:
    """An index over texts; N is the number of their characters.

    Building takes O(N log N log R) time, where R is the longest run that occurs twice, and about
    60 bytes of memory per character while it lasts (8 N stay). A search takes
    O(L M log N) for a text of L characters whose slices of at most M = L are compared.

    Args:
        texts: what is searched; none holds `BETWEEN`.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._text = BETWEEN.join(texts)
        self._starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
        self._order = suffix_array(self._text)

    @property
    def num_characters(self) -> int:
        """Characters of all texts, with one between each two."""
        return len(self._text)

    def longest_run(self, characters: str) -> tuple[int, int]:
        """Return the length of the longest run in common with one text, and the text's index.

        The index is -1 when no character is shared.
        """
        characters = characters.replace(BETWEEN, "")
        best, place = 0, -1
        for start in range(len(characters)):
            if best >= len(characters) - start:
                break
            length, match_place = self._longest_at(characters[start:])
            if length > best:
                best, place = length, match_place
        return best, int(np.searchsorted(self._starts, place, side="right")) - 1 if best else -1

    def _longest_at(self, query: str) -> tuple[int, int]:
        """Return the length of the longest prefix of `query` in the text, and its place."""
        size = len(query)
        position = bisect_left(
            self._order, query, key=lambda place: self._text[place : place + size]
        )
        runs = [
            (_num_equal(query, self._text[place : place + size]), int(place))
            for place in self._order[max(position - 1, 0) : position + 1]
        ]
        return max(runs, default=(0, -1))


def _num_equal(first: str, second: str) -> int:
    """Return how many characters both begin with."""
    pairs = zip(first, second, strict=False)
    unequal = (place for place, (a, b) in enumerate(pairs) if a != b)
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
