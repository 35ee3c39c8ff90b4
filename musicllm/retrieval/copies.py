"""Whether a tune is a version of one in an index, by the measure of `evals.memorisation`."""

from __future__ import annotations

from dataclasses import dataclass

from musicllm.errors import InputError
from musicllm.evals.memorisation import MIN_FIGURES, SAME_MELODY
from musicllm.music.abc import Score, parse
from musicllm.music.analysis import melodic_fingerprint, similarity
from musicllm.retrieval.index import Index, Neighbour

CANDIDATES = 10
"""Neighbours that are compared; a version of the tune is among so many."""


@dataclass(frozen=True)
class Version:
    """A tune of an index, and how much its melody is that of another.

    Attributes:
        neighbour: the tune.
        similarity: shared figures of six steps over those of the melody that has fewer; 0 for
            melodies that are too short to say.
    """

    neighbour: Neighbour
    similarity: float

    @property
    def is_copy(self) -> bool:
        """Whether both are versions of one melody, as corpora are freed of duplicates."""
        return self.similarity >= SAME_MELODY


def nearest(index: Index, score: Score) -> Version | None:
    """Return the tune of an index whose melody is most like that of a tune.

    Cost: that of `Index.similar`, and a millisecond for each of `CANDIDATES` tunes.

    Returns:
        None where the tune has no melody, or shares no figure with another.
    """
    try:
        neighbours = index.similar_to(score, CANDIDATES)
    except InputError:
        return None
    every = [version(score, tune) for tune in neighbours]
    return max(every, key=lambda each: each.similarity, default=None)


def version(score: Score, neighbour: Neighbour) -> Version:
    """Compare the melody of a tune with that of a neighbour."""
    first, second = melodic_fingerprint(score), melodic_fingerprint(parse(neighbour.abc))
    is_long = min(len(first), len(second)) >= MIN_FIGURES
    return Version(neighbour, similarity(first, second) if is_long else 0.0)
