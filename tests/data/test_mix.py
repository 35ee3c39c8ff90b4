from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from musicllm.data.mix import Drawn, draw
from musicllm.errors import ConfigError
from tests.helpers import mix_config


def drawn(
    part: Sequence[int],
    names: Sequence[str] = ("knowledge", "scores"),
    lengths: Sequence[int] | None = None,
    keys: Sequence[int] | None = None,
    seed: int = 0,
    **mix: Any,
) -> Drawn:
    count = len(part)
    return draw(
        np.array(part, np.int16),
        np.array([10] * count if lengths is None else lengths, np.int64),
        names,
        mix_config(**mix),
        seed=seed,
        keys=np.array(range(count) if keys is None else keys, np.uint64),
    )


def counts(result: Drawn, part: Sequence[int]) -> Counter[int]:
    return Counter(part[index] for index in result.documents.tolist())


def test_without_settings_everything_is_drawn_once_in_order() -> None:
    result = drawn([0, 1, 0, 1])

    assert result.documents.tolist() == [0, 1, 2, 3]
    assert result.documents.dtype == np.int64
    assert result.report[1] == {
        "part": "scores",
        "requested": None,
        "available_documents": 2,
        "documents": 2,
        "tokens": 20,
        "share_documents": 0.5,
        "share_tokens": 0.5,
    }


def test_weights_draw_as_much_as_the_shares_allow() -> None:
    # the paper's 2 : 1. All 4 scores are a third of 12, so 8 of the 10 others are drawn
    part = [0] * 10 + [1] * 4

    result = drawn(part, weights={"knowledge": 2, "scores": 1})

    assert counts(result, part) == {0: 8, 1: 4}
    assert result.documents.tolist() == sorted(set(result.documents.tolist()))
    assert [entry["requested"] for entry in result.report] == [2 / 3, 1 / 3]
    assert [entry["share_documents"] for entry in result.report] == [2 / 3, 1 / 3]
    assert [entry["available_documents"] for entry in result.report] == [10, 4]


def test_only_the_ratio_of_weights_matters() -> None:
    part = [0] * 10 + [1] * 4

    small = drawn(part, weights={"knowledge": 0.2, "scores": 0.1})
    large = drawn(part, weights={"knowledge": 200, "scores": 100})

    assert small.documents.tolist() == large.documents.tolist()
    assert counts(small, part) == {0: 8, 1: 4}


def test_a_part_without_a_weight_gives_nothing() -> None:
    result = drawn([0, 1, 1], weights={"scores": 3})

    assert result.documents.tolist() == [1, 2]
    assert result.report[0]["requested"] == 0
    assert result.report[0]["documents"] == 0


def test_a_second_pass_follows_the_first() -> None:
    result = drawn([0, 1, 0], epochs={"knowledge": 2})

    assert result.documents.tolist() == [0, 1, 2, 0, 2]
    assert result.report[0]["available_documents"] == 4
    assert result.report[0]["tokens"] == 40


def test_half_an_epoch_draws_half_of_the_documents() -> None:
    part = [0] * 10 + [1] * 3

    result = drawn(part, epochs={"knowledge": 0.5})

    assert counts(result, part) == {0: 5, 1: 3}


def test_whole_passes_come_before_a_partial_one() -> None:
    # 2.5 passes over 4 documents: each twice, two of them three times
    result = drawn([0] * 4, names=["own"], epochs={"own": 2.5})

    assert result.documents.tolist()[:8] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len(set(result.documents.tolist()[8:])) == 2


def test_a_cap_holds_after_the_epochs() -> None:
    part = [0] * 4 + [1] * 4

    result = drawn(part, epochs={"scores": 3}, max_documents={"scores": 9, "knowledge": 3})

    assert counts(result, part) == {0: 3, 1: 9}


def test_epochs_and_caps_bound_what_weights_can_draw() -> None:
    # 2 passes over 2 scores give 4, a cap leaves 6 of the others; 1 : 1 is 4 and 4
    part = [0] * 10 + [1] * 2

    result = drawn(
        part,
        weights={"knowledge": 1, "scores": 1},
        epochs={"scores": 2},
        max_documents={"knowledge": 6},
    )

    assert counts(result, part) == {0: 4, 1: 4}


def test_shares_of_tokens_end_with_the_last_whole_document_below() -> None:
    # scores have 2 x 100 tokens, all drawn; an equal share of documents of 30 is 6 of them, 180
    part = [0] * 20 + [1] * 2

    result = drawn(
        part,
        lengths=[30] * 20 + [100] * 2,
        weights={"knowledge": 1, "scores": 1},
        unit="tokens",
    )

    assert counts(result, part) == {0: 6, 1: 2}
    assert [entry["tokens"] for entry in result.report] == [180, 200]
    assert result.report[0]["share_tokens"] == 180 / 380


def test_shares_of_tokens_may_take_several_passes() -> None:
    # 3 passes over 30 tokens are 90; against 250 of the others, 1 : 3 leaves 83: 2 passes and 15
    part = [0] * 2 + [1]

    result = drawn(
        part,
        lengths=[15, 15, 250],
        weights={"knowledge": 1, "scores": 3},
        epochs={"knowledge": 3},
        unit="tokens",
    )

    assert counts(result, part) == {0: 5, 1: 1}
    assert [entry["tokens"] for entry in result.report] == [75, 250]


def test_what_is_drawn_does_not_depend_on_the_order_of_the_corpus() -> None:
    keys = np.random.default_rng(0).integers(0, 2**63, 100)
    shuffled = np.random.default_rng(1).permutation(100)

    plain = drawn([0] * 100, names=["own"], keys=keys, epochs={"own": 0.3})
    other = drawn([0] * 100, names=["own"], keys=keys[shuffled], epochs={"own": 0.3})

    assert set(keys[plain.documents]) == set(keys[shuffled][other.documents])
    assert len(plain.documents) == 30


def test_a_smaller_draw_is_part_of_a_larger_one() -> None:
    few = drawn([0] * 100, names=["own"], max_documents={"own": 20})
    many = drawn([0] * 100, names=["own"], max_documents={"own": 50})

    assert set(few.documents.tolist()) < set(many.documents.tolist())


def test_the_seed_draws_others() -> None:
    first = drawn([0] * 100, names=["own"], epochs={"own": 0.3}, seed=0)
    second = drawn([0] * 100, names=["own"], epochs={"own": 0.3}, seed=1)

    assert first.documents.tolist() != second.documents.tolist()


def test_the_draw_never_changes_between_versions() -> None:
    # a corpus that is prepared again must hold the same documents; never update these numbers
    result = drawn([0] * 20, names=["own"], max_documents={"own": 6}, seed=42)

    assert result.documents.tolist() == [0, 1, 4, 13, 14, 17]


def test_an_empty_corpus_draws_nothing() -> None:
    assert drawn([]).documents.tolist() == []


def problems(**mix: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        drawn([0, 0, 0], **mix)
    return [str(problem) for problem in error.value.problems]


def test_names_that_are_no_part_are_errors() -> None:
    assert problems(by="kind", weights={"score": 1}, epochs={"x": 2}, max_documents={"x": 2}) == [
        "data.mix.weights.score=1 names no kind; did you mean scores? there are knowledge, scores",
        "data.mix.epochs.x=2 names no kind; there are knowledge, scores",
        "data.mix.max_documents.x=2 names no kind; there are knowledge, scores",
    ]


def test_values_that_draw_nothing_are_errors() -> None:
    assert problems(
        weights={"knowledge": 0, "scores": -1},
        epochs={"knowledge": float("nan")},
        max_documents={"knowledge": 0},
    ) == [
        "data.mix.weights.knowledge=0 is no positive number; "
        "leave knowledge out to draw nothing of it",
        "data.mix.weights.scores=-1 is no positive number; leave scores out to draw nothing of it",
        "data.mix.epochs.knowledge=nan is no positive number",
        "data.mix.max_documents.knowledge=0 is less than 1",
    ]


def test_a_weighted_part_without_documents_is_an_error() -> None:
    assert problems(weights={"knowledge": 2, "scores": 1}) == [
        "data.mix.weights.scores=1 weights a source that gives no document; "
        "leave scores out, or look why it is empty (epochs, rejected.jsonl)"
    ]
