"""What one record shows of itself for the search of duplicates: pure functions of its texts.

The same in every process and on every machine. The third signature, of melodies, is
`music.analysis.melody.melodic_fingerprint`; a record's is the union over its scores.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from rensa import RMinHash

from musicllm.data.ngrams import Words

NUM_HASHES = 128
"""Of a signature; an estimated similarity has a standard deviation of at most 0.044."""

WORDS_PER_SHINGLE = 5
_SEED = 0


def exact_hash(texts: Sequence[str]) -> int:
    """Return a 64-bit hash of a record's texts, the same for other white space.

    Among 10 million different records, two share a hash with a probability of 3e-6.
    """
    collapsed = "\n".join(" ".join(text.split()) for text in texts)
    data = collapsed.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def minhash(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """Return signatures whose share of equal columns estimates the Jaccard similarity.

    The sets that are compared are those of runs of five words, case included (it tells octaves
    in ABC); a shorter text is one run. Broder 1997; computed by rensa. Linear in text, about 0.03
    ms for 2 kB.

    Args:
        texts: one for each record.

    Returns:
        [records, NUM_HASHES]
    """
    shingles = [
        words.hashes(max(1, min(WORDS_PER_SHINGLE, len(words)))) for words in map(Words, texts)
    ]
    offsets = np.cumsum([0, *map(len, shingles)], dtype=np.uint64)
    flat = np.concatenate([np.zeros(0, np.uint64), *shingles])
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(flat, offsets, NUM_HASHES, _SEED)
    return np.array(matrix.to_rows(), np.uint32).reshape(len(texts), NUM_HASHES)


def signature_rows(parts: Sequence[Sequence[str]]) -> npt.NDArray[np.uint32]:
    """Return one signature for each record, whose columns its parts take in turn.

    Of a record with two parts, the even columns are those of the first one's signature and the odd
    columns those of the second's; a record with one part has that one's signature.

    Args:
        parts: texts of each record, at least one.

    Returns:
        [records, NUM_HASHES]
    """
    signatures = minhash([text for texts in parts for text in texts])
    sizes = np.array([len(texts) for texts in parts], np.int64)
    columns = np.arange(NUM_HASHES)
    places = (np.cumsum(sizes) - sizes)[:, None] + columns % sizes[:, None]
    return signatures[places, columns]
