"""Finds tunes with equal titles, which are related even if their melodies are less similar.

Titles are normalised, since books spell them in many ways: `Athole House, The`,
`The Athole House (2nd setting)`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates.melodic import Melodies, similarity_of
from musicllm.data.duplicates.pairs import Pairs, expand_ranges, joined, keys_of, runs

MAX_TUNES_PER_TITLE = 20
"""Titles of more tunes (`Jig`, `Untitled`) are too common to make pairs."""

_ARTICLES = frozenset({"the", "a", "an"})
_ASIDE = re.compile(r"[(\[][^)\]]*[)\]]|['\u2019`\u00b4]")
_WORD = re.compile(r"\w+")


def normalized(title: str) -> str:
    """Return a title without case, accents, punctuation, text in brackets and article."""
    decomposed = unicodedata.normalize("NFKD", title.casefold())
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    words = _WORD.findall(_ASIDE.sub("", plain))
    if len(words) > 1 and words[-1] in _ARTICLES:
        del words[-1]
    if len(words) > 1 and words[0] in _ARTICLES:
        del words[0]
    return " ".join(words)


def title_hash(title: str) -> int:
    """Return a 64-bit hash of a normalised title; 0 for none."""
    words = normalized(title)
    if not words:
        return 0
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little") or 1


def titled_pairs(
    titles: npt.NDArray[np.uint64],
    melodies: Melodies,
    mask: npt.NDArray[np.bool_],
    more_than: float,
) -> Pairs:
    """Return pairs of tunes with equal titles and similar melodies.

    Cost: sorting the titles, and at most 10 pairs per tune.

    Args:
        titles: `title_hash` of each record, [records].
        melodies: of all records.
        mask: which records to compare, [records].
        more_than: minimum similarity, exclusive; see `melodic_pairs`.
    """
    places = np.flatnonzero(mask & (titles != 0))
    order = places[np.argsort(titles[places], kind="stable")]
    borders = runs(titles[order])
    sizes = np.diff(borders)
    is_distinctive = (sizes > 1) & (sizes <= MAX_TUNES_PER_TITLE)
    run, later = expand_ranges(borders[:-1][is_distinctive], sizes[is_distinctive])
    firsts = borders[:-1][is_distinctive][run]
    which, earlier = expand_ranges(firsts, later - firsts)
    pairs = similarity_of(np.sort(keys_of(order[earlier], order[later[which]])), melodies)
    return joined([pairs.only(pairs.similarity > more_than)])
