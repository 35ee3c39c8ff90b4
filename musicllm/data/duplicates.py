"""Finds tunes that occur twice: letter by letter, or as versions of one melody.

Printed collections borrow from each other, in other keys and with other ornaments. A tune whose
text or melody stands in an earlier one is dropped. Tunes that are merely related stay, but in one
group, so that no split can hold a test tune whose cousin was trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from musicllm.data.clean import CleanTune
from musicllm.data.records import Drop
from musicllm.music.analysis.melody import melodic_fingerprint, similarity

RELATED_SIMILARITY = 0.25
"""Melodies more similar than this form a group. In the three books of music21, unrelated tunes
share less; at 0.15 stock phrases begin to chain tunes into groups of twenty."""

MAX_TUNES_PER_HASH = 200
"""A figure that so many tunes have is common property and says nothing about a pair."""


def deduplicate(
    tunes: Sequence[CleanTune], near_duplicate_similarity: float
) -> tuple[list[tuple[CleanTune, str]], list[Drop]]:
    """Keep the first tune of all that are the same, and group the related ones.

    Candidates come from an inverted index of fingerprint hashes, not from all pairs: the cost is
    at most `MAX_TUNES_PER_HASH` for each hash of each tune.

    Args:
        tunes: in the order that decides which one is the first.
        near_duplicate_similarity: a melody more similar than this to an earlier one is dropped;
            1 keeps them all.

    Returns:
        The tunes that stay, each with its group (the id of the group's first tune), and the drops.
    """
    texts: dict[str, str] = {}
    relations = _Relations(min(RELATED_SIMILARITY, near_duplicate_similarity))
    kept: list[CleanTune] = []
    drops: list[Drop] = []
    for tune in tunes:
        first = texts.setdefault(tune.text, tune.id)
        if first != tune.id:
            drops.append(_leftover(tune, "is a duplicate", f"of {first}"))
            continue
        fingerprint = melodic_fingerprint(tune.score)
        related = dict(relations.find(fingerprint))
        nearest = max(related, key=related.__getitem__, default=None)
        if nearest is not None and related[nearest] > near_duplicate_similarity:
            detail = f"of {kept[nearest].id}, similarity {related[nearest]:.2f}"
            drops.append(_leftover(tune, "is a near-duplicate", detail))
            continue
        relations.add(fingerprint, related)
        kept.append(tune)
    return [(tune, kept[relations.root(i)].id) for i, tune in enumerate(kept)], drops


class _Relations:
    """The fingerprints so far, by hash, and a union-find forest whose roots come first."""

    def __init__(self, related_similarity: float) -> None:
        self.related_similarity = related_similarity
        self.fingerprints: list[frozenset[int]] = []
        self.holders: defaultdict[int, list[int]] = defaultdict(list)
        self.parents: list[int] = []

    def find(self, fingerprint: frozenset[int]) -> Iterator[tuple[int, float]]:
        """Yield the related fingerprints and their similarity."""
        shared = Counter(other for value in fingerprint for other in self.holders.get(value, ()))
        for other, count in shared.items():
            smaller = min(len(fingerprint), len(self.fingerprints[other]))
            if count > self.related_similarity * smaller:
                yield other, similarity(fingerprint, self.fingerprints[other])

    def add(self, fingerprint: frozenset[int], related: Iterable[int]) -> None:
        """Add a fingerprint and join the groups of those it is related to."""
        number = len(self.fingerprints)
        self.fingerprints.append(fingerprint)
        self.parents.append(number)
        for value in fingerprint:
            if len(self.holders[value]) < MAX_TUNES_PER_HASH:
                self.holders[value].append(number)
        for other in related:
            first, second = sorted((self.root(number), self.root(other)))
            self.parents[second] = first

    def root(self, number: int) -> int:
        """Return the first fingerprint of a group."""
        while self.parents[number] != number:
            self.parents[number] = self.parents[self.parents[number]]
            number = self.parents[number]
        return number


def _leftover(tune: CleanTune, reason: str, detail: str) -> Drop:
    return Drop(tune.source, tune.id, reason, detail, is_fault=False)
