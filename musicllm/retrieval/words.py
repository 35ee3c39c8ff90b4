"""The words of a text that are looked up, in English, Chinese and whatever else has words.

Case, accents and the plural of English words do not count. Chinese and Japanese are written without
spaces, so each sign and each pair of neighbours is a word (as Lucene's CJKAnalyzer has it).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

_IDEOGRAPH = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_PIECE = re.compile(rf"[{_IDEOGRAPH}]+|[0-9]+/[0-9]+|[^\W_{_IDEOGRAPH}]+(?:[#♯♭]\w?)?")
_APOSTROPHE = re.compile(r"(?<=\w)['\u2019`\u00b4](?=\w)")


def words(text: str) -> Iterator[str]:
    """Yield the words of a text in order; linear in the text."""
    decomposed = unicodedata.normalize("NFKD", _APOSTROPHE.sub("", text).casefold())
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign))
    for piece in _PIECE.findall(unicodedata.normalize("NFC", plain)):
        if re.match(rf"[{_IDEOGRAPH}]", piece):
            yield from piece
            yield from map("".join, pairwise(piece))
        else:
            yield singular(piece)


def singular(word: str) -> str:
    """Return a word without the ending of an English plural (Harman 1991, the S-stemmer)."""
    if len(word) < 4 or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    return word[:-1]


def counted(text: str) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Return the hashes of a text's words, each once, and how often each comes, [words]."""
    counts = Counter(words(text))
    hashes = np.fromiter(map(_hash, counts), np.uint64, len(counts))
    return hashes, np.fromiter(counts.values(), np.int64, len(counts))


@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
