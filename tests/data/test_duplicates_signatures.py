from __future__ import annotations

import hashlib

import numpy as np
import pytest

from musicllm.data.duplicates import NUM_HASHES, exact_hash, minhash


def test_the_exact_hash_is_that_of_the_words_of_each_text() -> None:
    digest = hashlib.blake2b(b"a b\nc", digest_size=8).digest()

    assert exact_hash(["a\n b", "c "]) == int.from_bytes(digest, "little")
    assert exact_hash(["a", "b c"]) != exact_hash(["a b", "c"])
    assert exact_hash(["A"]) != exact_hash(["a"])


def test_texts_that_cannot_be_encoded_have_a_hash() -> None:
    assert exact_hash(["\ud800"]) != exact_hash(["?"])
    assert minhash(["\ud800 a"]).shape == (1, NUM_HASHES)


def test_signatures_never_change() -> None:
    # those of rensa 0.5: corpora prepared by parts must agree
    assert minhash(["one two three four five six"])[0, :3].tolist() == [
        3739557785,
        3399111060,
        3666864282,
    ]


def test_equal_columns_estimate_the_jaccard_similarity() -> None:
    # 400 and 400 shingles, 300 of them shared: 300 / 500
    words = [f"w{i}" for i in range(404)]
    others = [*words[:304], *(f"v{i}" for i in range(100))]

    first, second = minhash([" ".join(words), " ".join(others)])

    assert np.mean(first == second) == pytest.approx(0.6, abs=3 * 0.044)


def test_a_signature_depends_on_its_text_alone() -> None:
    texts = ["a b c d e f g", "", "x", "one two"]

    together = minhash(texts)

    assert np.array_equal(together, np.concatenate([minhash([text]) for text in texts]))
    assert minhash([]).shape == (0, NUM_HASHES)


def test_punctuation_is_no_word_but_case_counts() -> None:
    signatures = minhash(["|: A B c d :|", "A-B c,d", "a b c d"])

    assert np.array_equal(signatures[0], signatures[1])
    assert not np.array_equal(signatures[0], signatures[2])
