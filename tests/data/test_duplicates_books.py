"""The pairs of similar tunes in the books of music21 that docs/DUPLICATES.md counts."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from musicllm.data.duplicates import Melodies, Texts, exact_hash, minhash
from musicllm.data.duplicates.melodic import melodic_pairs
from musicllm.data.duplicates.near import near_pairs
from musicllm.data.duplicates.pairs import Pairs
from musicllm.data.music import Examined, examine
from musicllm.data.sources import find_parts, read_part
from musicllm.music.analysis.melody import melodic_fingerprint
from tests.helpers import music_config, source_spec


def as_set(pairs: Pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.earlier.tolist(), pairs.later.tolist(), strict=True))


@pytest.mark.slow
def test_the_books_have_the_pairs_that_the_page_counts(tmp_path: Path) -> None:
    parts = find_parts(source_spec("books", "books", None))
    records = [record for part in parts for record in read_part(part)]
    policy = music_config(normalize=True)
    examined = [examine(record, policy) for record in records if isinstance(record, dict)]
    tunes = [tune for tune in examined if isinstance(tune, Examined)]
    assert (len(records), len(tunes)) == (4248, 4180)

    texts = [tune.record["text"] for tune in tunes]
    fingerprints = [sorted(melodic_fingerprint(tune.scores[0])) for tune in tunes]
    minhash(texts).tofile(tmp_path / "minhash")
    np.array([h for hashes in fingerprints for h in hashes], np.uint64).tofile(tmp_path / "melody")
    zeros = np.zeros(len(tunes), np.uint64)
    offsets = np.cumsum([0, *map(len, fingerprints)])
    melodies = Melodies(tmp_path / "melody", offsets, zeros)
    signatures = Texts(tmp_path / "minhash", zeros, np.ones(len(tunes), np.int8))
    hashes = [exact_hash([text]) for text in texts]
    indices = np.arange(len(tunes))

    exact = {(i, j) for i, j in combinations(range(len(tunes)), 2) if hashes[i] == hashes[j]}
    near, nearer = (as_set(near_pairs(signatures, indices, limit)) for limit in (0.5, 0.8))
    related, same = (as_set(melodic_pairs(melodies, indices >= 0, limit)) for limit in (0.25, 0.6))
    sizes = [len(pairs) for pairs in (exact, nearer, near, same, related)]
    assert sizes == [32, 99, 189, 416, 744]
    assert exact <= nearer <= near
    assert exact <= same <= related
    assert len(same & near) == 186
