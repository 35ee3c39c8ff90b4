"""Two models on the same questions."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import binomtest

from musicllm.errors import InputError
from musicllm.evals.choices import (
    compare,
    compare_by_subject,
    holm,
    mcnemar,
    paired_difference,
)
from tests.evals.answered import answered


def test_mcnemar_by_hand() -> None:
    # 1 against 5: twice the chance of at most 1 head in 6 throws, 2 * (1 + 6) / 64
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(1, 5) == mcnemar(5, 1)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1
    assert mcnemar(0, 8) == pytest.approx(2 / 256)


@pytest.mark.parametrize(("gained", "lost"), [(10, 2), (31, 60), (2500, 2300), (14042, 0)])
def test_mcnemar_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    expected = binomtest(gained, gained + lost).pvalue
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


def test_pairs_are_found_by_question_and_the_rest_is_counted() -> None:
    baseline = [answered(n, "A" if n < 4 else "B", "A") for n in range(8)]
    model = [answered(n, "A" if n in (2, 3, 4, 5, 6) else "B", "A") for n in (9, 6, 5, 4, 3, 2, 1)]
    result = compare(baseline, model, seed=0)
    assert result is not None
    assert (result.num_questions, result.num_unpaired) == (6, 3)  # 0, 7 and 9 have no partner
    assert (result.baseline, result.model) == (0.5, pytest.approx(5 / 6))
    assert (result.num_gained, result.num_lost) == (3, 1)
    assert result.difference == pytest.approx(2 / 6)
    assert result.low <= result.difference <= result.high
    assert result.p_value == mcnemar(3, 1)
    assert result.num_other_prompts == 0


def test_interval_is_that_of_resampled_pairs() -> None:
    draw = random.Random(0)
    right = [(draw.random() < 0.5, draw.random() < 0.6) for _ in range(500)]
    rows = [[answered(n, "A" if pair[i] else "B", "A") for n, pair in enumerate(right)]
            for i in range(2)]  # fmt: skip
    result = compare(*rows, seed=3)
    assert result is not None
    generator = np.random.default_rng(1)
    change = np.array([int(b) - int(a) for a, b in right])
    means = [change[generator.integers(0, 500, 500)].mean() for _ in range(2000)]
    assert (result.low, result.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.01)


def test_nothing_in_common_is_no_comparison() -> None:
    assert compare([answered(1, "A", "A")], [answered(2, "A", "A")], seed=0) is None


def test_other_prompts_are_counted() -> None:
    result = compare([answered(1, "A", "A")], [answered(1, "A", "A", prompt_hash="other")], seed=0)
    assert result is not None
    assert result.num_other_prompts == 1


def test_other_questions_under_the_same_name_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"history/test/1 has the answer A in one evaluation and B in the other"
    ):
        compare([answered(1, "A", "A")], [answered(1, "A", "B")], seed=0)
    with pytest.raises(InputError, match="1 of 2 answers stand under the question_id of another"):
        compare([answered(1, "A", "A"), answered(1, "B", "A")], [answered(1, "A", "A")], seed=0)


def test_subjects_are_compared_each_for_itself() -> None:
    baseline = [
        answered(n, "B", "A", subject=subject) for subject in ("law", "art") for n in (1, 2)
    ]
    model = [answered(n, "A", "A", subject=subject) for subject in ("law", "art") for n in (1, 2)]
    parts = compare_by_subject(baseline[:-1], model, seed=0)
    assert {subject: part.num_questions for subject, part in parts.items()} == {"law": 2, "art": 1}
    assert parts["law"].difference == 1
    assert parts["law"].p_value == 0.5


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3 = 0.06, 0.03 * 2 = 0.06, and 0.9, each at least the one before
    values = holm({"c": 0.03, "a": 0.01, "d": 0.9, "b": 0.02})
    assert values == {"c": pytest.approx(0.06), "a": 0.04, "d": 0.9, "b": pytest.approx(0.06)}
    assert list(values) == ["c", "a", "d", "b"]
    assert holm({"x": 0.7, "y": 0.8}) == {"x": 1.0, "y": 1.0}
    assert holm({}) == {}


def test_means_of_the_same_items() -> None:
    draw = np.random.default_rng(0)
    before = draw.normal(5, 3, 400)
    after = before - 0.1 + draw.normal(0, 0.2, 400)  # far below the spread of items
    result = paired_difference(before, after, seed=0)
    assert result.num_items == 400
    assert result.difference == pytest.approx(float(np.mean(after - before)))
    error = 1.96 * 0.2 / 20
    assert (result.low, result.high) == pytest.approx(
        (result.difference - error, result.difference + error), abs=0.004
    )
    assert result.p_value < 0.01
    same = paired_difference(before, before, seed=0)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)


def test_weights_make_a_ratio_of_sums() -> None:
    result = paired_difference([2.0, 4.0], [3.0, 6.0], seed=0, weights=[10.0, 20.0])
    assert (result.baseline, result.model) == (pytest.approx(0.2), pytest.approx(0.3))
    assert result.low == result.high == pytest.approx(0.1)
