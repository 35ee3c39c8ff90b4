from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from musicllm.data.duplicates import (
    Decision,
    Melodies,
    Signatures,
    Texts,
    decide,
    exact_hash,
    melodic,
    minhash,
    near,
)
from musicllm.data.duplicates.decide import EXACT, MELODIC, NEAR, STAYS
from musicllm.music.abc import parse
from musicllm.music.analysis.melody import melodic_fingerprint
from musicllm.music.transform import transpose
from musicllm.schema import DuplicatesConfig
from tests.helpers import duplicates_config, make_tune


def decided(folder: Path, texts: Sequence[str], policy: DuplicatesConfig) -> Decision:
    signed = folder / "minhash"
    minhash(texts).tofile(signed)
    exact = np.array([exact_hash([text]) for text in texts], np.uint64)
    prints = [melodic_fingerprint(parse(t)) if t.startswith("X:") else () for t in texts]
    one = np.ones(len(texts), np.int8)
    signed_texts = Texts(signed, np.zeros(len(texts), np.uint64), one)
    same = np.zeros(len(texts), np.uint64)
    return decide(Signatures(exact, same, signed_texts, melodies(folder, prints)), policy)


def melodies(folder: Path, prints: Sequence[Sequence[int] | frozenset[int]]) -> Melodies:
    values = folder / "melodies"
    np.array([value for each in prints for value in each], np.uint64).tofile(values)
    around = np.zeros(len(prints), np.uint64)
    return Melodies(values, np.cumsum([0, *map(len, prints)]), around)


def of_figures(folder: Path, prints: Sequence[Sequence[int]], **limits: float) -> Decision:
    """Decide over tunes that are given by their melodic hashes."""
    exact = np.arange(len(prints), dtype=np.uint64)
    same = np.zeros(len(prints), np.uint64)
    signatures = Signatures(exact, same, None, melodies(folder, prints))
    return decide(signatures, duplicates_config(**limits))


def sentence(seed: int, num_words: int = 60) -> list[str]:
    draw = random.Random(seed)
    return [f"w{draw.randrange(10_000)}" for _ in range(num_words)]


def test_white_space_alone_makes_no_other_text(tmp_path: Path) -> None:
    texts = ["a b c", "d e f", " a\n b  c "]

    decision = decided(tmp_path, texts, duplicates_config())

    assert decision.duplicate_of.tolist() == [-1, -1, 0]
    assert decision.reason.tolist() == [STAYS, STAYS, EXACT]
    assert decision.similarity.tolist() == [0, 0, 1]
    assert decision.group.tolist() == [0, 1, 0]


def test_exact_duplicates_stay_when_they_may(tmp_path: Path) -> None:
    decision = decided(tmp_path, ["a", "a"], duplicates_config(exact=False))

    assert decision.duplicate_of.tolist() == [-1, -1]


def test_a_text_with_one_word_changed_is_a_near_duplicate(tmp_path: Path) -> None:
    # 56 shingles; one changed word touches 5: similarity 51 / 61 = 0.84
    words, other = sentence(1), sentence(2)
    changed = [*words[:30], "other", *words[31:]]
    texts = [" ".join(text) for text in (other, words, changed)]

    decision = decided(tmp_path, texts, duplicates_config(near_similarity=0.7))

    assert decision.duplicate_of.tolist() == [-1, -1, 1]
    assert decision.reason.tolist() == [STAYS, STAYS, NEAR]
    assert decision.similarity[2] == pytest.approx(51 / 61, abs=0.1)
    assert decided(tmp_path, texts, duplicates_config(near_similarity=0.97)).reason.max() == STAYS


def test_a_record_is_compared_with_kept_ones_only(tmp_path: Path) -> None:
    # each tune shares 7 of 10 figures with the one before, 4 with the one before that
    tunes = [range(start, start + 10) for start in (0, 3, 6, 9)]

    decision = of_figures(tmp_path, tunes, melodic_similarity=0.6, related_similarity=0.5)

    assert decision.duplicate_of.tolist() == [-1, 0, -1, 2]
    assert decision.group.tolist() == [0, 0, 2, 2]


def test_a_duplicate_names_the_earliest_that_stays(tmp_path: Path) -> None:
    tunes = [range(8), range(20, 28), [*range(7), *range(20, 27)]]

    decision = of_figures(tmp_path, tunes, melodic_similarity=0.6)

    assert decision.duplicate_of.tolist() == [-1, -1, 0]
    assert decision.similarity[2] == pytest.approx(7 / 8)


def test_a_copy_of_a_dropped_record_names_the_one_that_stays(tmp_path: Path) -> None:
    tune = make_tune(1)
    texts = [tune, transpose(tune, 3), transpose(tune, 3)]

    decision = decided(tmp_path, texts, duplicates_config(melodic_similarity=0.6))

    assert decision.duplicate_of.tolist() == [-1, 0, 0]
    assert decision.reason.tolist() == [STAYS, MELODIC, EXACT]


def test_without_a_limit_versions_of_a_tune_stay_in_one_group(tmp_path: Path) -> None:
    texts = [make_tune(2), make_tune(1), transpose(make_tune(1), 3)]

    decision = decided(tmp_path, texts, duplicates_config())

    assert decision.duplicate_of.tolist() == [-1, -1, -1]
    assert decision.group.tolist() == [0, 1, 1]


def test_a_limit_below_that_of_related_tunes_holds(tmp_path: Path) -> None:
    tunes = [range(16), range(14, 30)]  # 2 of 16 figures are shared

    kept = [
        np.count_nonzero(of_figures(tmp_path, tunes, melodic_similarity=limit).reason == STAYS)
        for limit in (0.2, 0.02)
    ]

    assert kept == [2, 1]


def test_groups_join_across_a_chain_of_links(tmp_path: Path) -> None:
    # 4 links 3 and 0, 5 links 4 and 2; the similarity of a link is 0.5
    tunes: list[Sequence[int]] = [range(4), range(10, 14), range(20, 24), range(30, 34)]
    tunes += [[0, 1, 30, 31], [32, 33, 20, 21]]

    decision = of_figures(tmp_path, tunes, melodic_similarity=0.6)

    assert decision.group.tolist() == [0, 1, 0, 0, 0, 0]


def test_a_figure_that_everybody_has_makes_no_pair_but_counts_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # figures 0 to 3 are held by three tunes, 4 and 5 by the first two
    tunes = [[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 8, 9], [0, 1, 2, 3, 10, 11, 12, 13]]
    monkeypatch.setattr(melodic, "MAX_TUNES_PER_HASH", 2)

    decision = of_figures(tmp_path, tunes, melodic_similarity=0.7, related_similarity=0.2)

    assert decision.duplicate_of.tolist() == [-1, 0, -1]
    assert decision.similarity[1] == pytest.approx(6 / 8)
    assert decision.group.tolist() == [0, 0, 2]


def test_blocks_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    tunes = [draw.sample(range(60), 12) for _ in range(60)]
    texts = [" ".join(sentence(i // 3)[i % 3 :]) for i in range(60)]
    whole = of_figures(tmp_path, tunes, melodic_similarity=0.4)
    whole_near = decided(tmp_path, texts, duplicates_config(near_similarity=0.8))
    monkeypatch.setattr(melodic, "_COUNTED_PER_BLOCK", 7)
    monkeypatch.setattr(melodic, "_PAIRS_PER_BLOCK", 3)
    monkeypatch.setattr(near, "_ROWS_PER_READ", 7)
    monkeypatch.setattr(near, "_PAIRS_PER_BLOCK", 3)

    parts = of_figures(tmp_path, tunes, melodic_similarity=0.4)
    parts_near = decided(tmp_path, texts, duplicates_config(near_similarity=0.8))

    assert 0 < np.count_nonzero(whole.reason == MELODIC) < 59
    assert np.count_nonzero(whole_near.reason == NEAR) == 40
    for name in vars(whole):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
        assert np.array_equal(getattr(whole_near, name), getattr(parts_near, name))


def test_pairs_are_those_of_a_comparison_of_all_with_all(tmp_path: Path) -> None:
    draw = random.Random(1)
    tunes = [draw.sample(range(80), draw.randint(0, 20)) for _ in range(40)]

    pairs = melodic.melodic_pairs(melodies(tmp_path, tunes), np.ones(40, bool), 0.3)

    expected = {
        (i, j): len(set(tunes[i]) & set(tunes[j])) / min(len(tunes[i]), len(tunes[j]))
        for j in range(40)
        for i in range(j)
        if len(set(tunes[i]) & set(tunes[j])) > 0.3 * min(len(tunes[i]), len(tunes[j]))
    }
    found = zip(pairs.earlier.tolist(), pairs.later.tolist(), strict=True)
    assert dict(zip(found, pairs.similarity, strict=True)) == pytest.approx(expected)


def test_nothing_is_decided_about_nothing(tmp_path: Path) -> None:
    policy = duplicates_config(near_similarity=0.8, melodic_similarity=0.6)

    assert decided(tmp_path, [], policy).duplicate_of.tolist() == []


def test_empty_texts_and_tunes_without_figures_are_no_versions_of_each_other(
    tmp_path: Path,
) -> None:
    decision = of_figures(tmp_path, [[], [], [1, 2]], melodic_similarity=0.1)

    assert decision.duplicate_of.tolist() == [-1, -1, -1]


def test_bands_are_as_wide_as_they_can_be() -> None:
    # 1 - (1 - 0.8**5)**25 = 0.99995, 1 - (1 - 0.8**6)**21 = 0.9983
    assert near.columns_per_band(0.8) == 5
    assert near.columns_per_band(1.0) == 128
    assert near.columns_per_band(0.001) == 1
