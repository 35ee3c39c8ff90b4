"""An index of tunes: the artifact that the stage `index` writes, and searches in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from musicllm import artifacts
from musicllm.errors import ArtifactError, InputError
from musicllm.music.abc import AbcError, Score, find_tunes, parse
from musicllm.retrieval.build import (
    LAYOUT,
    LENGTHS,
    MELODY,
    PLACES,
    SIZES,
    TEXT,
    TUNES,
)
from musicllm.retrieval.entries import description
from musicllm.retrieval.figures import figures
from musicllm.retrieval.postings import Hits, Postings, mapped
from musicllm.retrieval.words import counted

By = Literal["melody", "text"]

BM25_K1, BM25_B = 1.2, 0.75
"""Usual values (Robertson and Zaragoza 2009, section 3.3)."""


@dataclass(frozen=True)
class Neighbour:
    """A tune of an index that is like a query.

    Attributes:
        id: of the record that holds it.
        title: its `T:`; empty where it has none.
        score: by melody the share of the query's figures that it has, 0 to 1, a rare figure counts
            more; by text BM25, which has no upper limit.
        abc: the tune.
        source: of the record.
    """

    id: str
    title: str
    score: float
    abc: str
    source: str


@dataclass(frozen=True)
class Index:
    """An index on disk; it is mapped, and only what a search needs is read.

    Attributes:
        path: the artifact's folder.
        facts: counts, as `build` returned them.
    """

    path: Path
    facts: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the index in a folder.

        Every file is read once and compared with its checksum: about a second for a gigabyte.

        Raises:
            ArtifactError: it is no artifact of kind `index`, is damaged, or of another version.
        """
        artifact = artifacts.read(path, "index")
        facts = artifact.facts
        again = f"delete {path} and run recipe=index again"
        if (layout := facts.get("layout")) != LAYOUT:
            raise ArtifactError(
                f"{path} is an index of layout {layout}, and {LAYOUT} is read here; {again}"
            )
        artifact.verify()
        return cls(path, facts)

    def __len__(self) -> int:
        """Return the number of tunes."""
        return int(self.facts["num_tunes"])

    def similar(self, query: str, k: int = 5, by: By = "melody") -> list[Neighbour]:
        """Return the tunes that are most like a query, the most similar first.

        Cost: linear in the tunes that share a figure or a word with the query, and 8 bytes of
        memory for every tune of the index.

        Args:
            query: by melody a text with a tune in ABC, of which the first counts; by text words, or
                a tune, whose fields are the words.
            k: most tunes.
            by: melody or text.

        Returns:
            At most k tunes; none where nothing is shared.

        Raises:
            InputError: by melody, and there is no tune in the query, or one without a melody.
        """
        if by == "melody":
            return self.similar_to(tune_in(query), k)
        return self._best(*self._by_text(query), k)

    def similar_to(self, score: Score, k: int = 5) -> list[Neighbour]:
        """Return the tunes whose melody is most like that of a tune; see `similar`.

        Raises:
            InputError: it has no melody.
        """
        return self._best(*self._by_melody(score), k)

    def _best(
        self, scores: npt.NDArray[np.float64], sizes: npt.NDArray[np.uint32], k: int
    ) -> list[Neighbour]:
        """Return the k tunes with the highest scores; of equals the shorter, then the earlier."""
        if k < 1:
            raise InputError(f"k={k} must be at least 1")
        best = np.flatnonzero(scores > 0)
        if len(best) > k:
            least = np.partition(scores[best], -k)[-k]
            best = best[scores[best] >= least]
        best = best[np.lexsort((best, sizes[best], -scores[best]))][:k]
        return [self._neighbour(int(number), float(scores[number])) for number in best]

    def _by_melody(self, score: Score) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Return the share of the query's figures that each tune has, weighted by rarity."""
        own = figures(score)
        if not len(own):
            raise InputError(
                "the melody of the query is too short to be looked up; write two bars or more, or "
                "search by text"
            )
        hits = Postings.open(self.path / MELODY).look_up(own)
        weights = np.log1p(len(self) / np.maximum(hits.num_tunes, 1))
        scores = self._summed(hits, weights[hits.which] / weights.sum())
        return scores, mapped(self.path / SIZES, "<u4")

    def _by_text(self, query: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint32]]:
        """Return BM25 of each tune's words."""
        spans = find_tunes(query)
        if spans:
            query = f"{query[: spans[0].start]}\n{description(tune_in(query))}"
        own, _ = counted(query)
        hits = Postings.open(self.path / TEXT).look_up(own)
        lengths = mapped(self.path / LENGTHS, "<u4")
        holders = hits.num_tunes
        rarity = np.log1p((len(self) - holders + 0.5) / (holders + 0.5))
        relative = lengths[hits.tunes] / max(self.facts["mean_length"], 1e-9)
        often = hits.counts / (hits.counts + BM25_K1 * (1 - BM25_B + BM25_B * relative))
        scores = self._summed(hits, rarity[hits.which] * often * (BM25_K1 + 1))
        return scores, lengths

    def _summed(self, hits: Hits, shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        scores: npt.NDArray[np.float64] = np.zeros(len(self))
        scores += np.bincount(hits.tunes, weights=shares, minlength=len(self))
        return scores

    def _neighbour(self, number: int, score: float) -> Neighbour:
        start, stop = mapped(self.path / PLACES, "<i8")[number : number + 2]
        with (self.path / TUNES).open("rb") as file:
            file.seek(start)
            tune = json.loads(file.read(stop - start))
        return Neighbour(tune["id"], tune["title"], score, tune["abc"], tune["source"])


def tune_in(query: str) -> Score:
    """Return the first tune in a text.

    Raises:
        InputError: there is none that can be read.
    """
    spans = find_tunes(query)
    if not spans:
        raise InputError(
            "there is no tune in the query: ABC needs a header with K: and music; search by text "
            "for words"
        )
    try:
        return parse(query[spans[0].start : spans[0].stop])
    except AbcError as error:
        raise InputError(f"the tune of the query does not parse: {error}") from None
