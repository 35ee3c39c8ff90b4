"""Tunes of one title: evidence that they are related, however little of the melody is the same.

Books write one title in many ways: `Athole House, The`, `The Athole House (2nd setting)`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

import numpy as np
import numpy.typing as npt

from musicllm.data.duplicates.melodic import Melodies, similarity_of
from musicllm.data.duplicates.pairs import Pairs, joined, keys_of, runs, stretches

MAX_TUNES_PER_TITLE = 20
"""A title that more tunes have (`Jig`, `Untitled`) says nothing."""

_ARTICLES = frozenset({"the", "a", "an"})
_ASIDE = re.compile(r"[(\[][^)\]]*[)\]]|['\u2019`\u00b4]")
_WORD = re.compile(r"\w+")


def normalized(title: str) -> str:
    """Return a title without case, accents, signs, asides in brackets and the article."""
    decomposed = unicodedata.normalize("NFKD", title.casefold())
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    words = _WORD.findall(_ASIDE.sub("", plain))
    if len(words) > 1 and words[-1] in _ARTICLES:
        del words[-1]
    if len(words) > 1 and words[0] in _ARTICLES:
        del words[0]
    return " ".join(words)


def title_hash(title: str) -> int:
    """Return a 64-bit hash of a title as it is compared; 0 for none."""
    words = normalized(title)
    if not words:
        return 0
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little") or 1


def titled_pairs(
    titles: npt.NDArray[np.uint64],
    melodies: Melodies,
    chosen: npt.NDArray[np.bool_],
    more_than: float,
) -> Pairs:
    """Return the pairs of tunes of one title whose melodies are at least this similar.

    Cost: a sort of the titles, and 10 pairs for each tune at most.

    Args:
        titles: `title_hash` of each record, [records].
        melodies: of all records.
        chosen: which records to compare, [records].
        more_than: the least similarity, exclusive; see `melodic_pairs`.
    """
    places = np.flatnonzero(chosen & (titles != 0))
    order = places[np.argsort(titles[places], kind="stable")]
    borders = runs(titles[order])
    sizes = np.diff(borders)
    telling = (sizes > 1) & (sizes <= MAX_TUNES_PER_TITLE)
    run, later = stretches(borders[:-1][telling], sizes[telling])
    firsts = borders[:-1][telling][run]
    which, earlier = stretches(firsts, later - firsts)
    pairs = similarity_of(np.sort(keys_of(order[earlier], order[later[which]])), melodies)
    return joined([pairs.only(pairs.similarity > more_than)])
