"""Accuracy and calibration of answered questions, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from musicllm.evals.choices import metrics, reliability
from musicllm.evals.choices.calibration import probabilities
from musicllm.evals.results import wilson
from tests.evals.answered import answered


def right_and_wrong(subject: str, right: int, wrong: int, **other: Any) -> list[dict[str, Any]]:
    return [
        answered(number, "A" if number < right else "B", "A", subject=subject, **other)
        for number in range(right + wrong)
    ]


def sure(confidence: float, letter: str = "A") -> dict[str, float]:
    """Return log-likelihoods that give a letter this probability among four, up to a factor."""
    rest = (1 - confidence) / 3
    return {key: math.log(confidence if key == letter else rest) - 7 for key in "ABCD"}


def test_micro_is_over_questions_and_macro_over_subjects_and_categories() -> None:
    rows = [
        *right_and_wrong("history", 6, 2, category="humanities"),
        *right_and_wrong("law", 0, 2, category="humanities"),
        *right_and_wrong("physics", 2, 0, category="STEM"),
    ]
    result = metrics(rows, seed=0)
    assert result["accuracy"] == pytest.approx(8 / 12)
    assert result["accuracy_macro_subject"] == pytest.approx((6 / 8 + 0 + 1) / 3)
    assert result["accuracy_macro_category"] == pytest.approx((6 / 10 + 1) / 2)
    assert result["accuracy_category_humanities"] == pytest.approx(0.6)
    assert result["accuracy_category_stem"] == 1
    assert result["accuracy_history"] == 0.75
    assert (result["accuracy_law_low"], result["accuracy_law_high"]) == wilson(0, 2)
    assert (result["num_questions"], result["num_subjects"], result["num_correct"]) == (12, 3, 8)


def test_interval_of_accuracy_is_that_of_resampled_questions() -> None:
    result = metrics(right_and_wrong("history", 300, 100), seed=1)
    error = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert result["accuracy_low"] == pytest.approx(0.75 - error, abs=0.008)
    assert result["accuracy_high"] == pytest.approx(0.75 + error, abs=0.008)
    assert result == metrics(right_and_wrong("history", 300, 100), seed=1)


def test_a_mean_over_categories_leaves_no_question_out() -> None:
    rows = [*right_and_wrong("history", 1, 1, category="humanities"), answered(9, "A", "A")]
    result = metrics(rows, seed=0)
    assert "accuracy_macro_category" not in result
    assert "accuracy_category_humanities" in result


def test_levels_count_where_rows_have_them() -> None:
    rows = [answered(1, "A", "A", level="easy"), answered(2, "A", "B", level="hard")]
    result = metrics(rows, seed=0)
    assert (result["accuracy_level_easy"], result["accuracy_level_hard"]) == (1, 0)


def test_what_is_odd_is_counted_and_a_missing_letter_is_wrong() -> None:
    rows = [
        answered(1, None, "A", answer="I do not know."),
        answered(2, "A", "A", flags=["blank option", "no score"], num_dropped_shots=2),
        answered(3, "A", "A", flags=["no score"], num_dropped_shots=1),
        answered(4, "B", "B"),
    ]
    result = metrics(rows, seed=0)
    assert result["accuracy"] == 0.75
    assert result["num_no_letter"] == 1
    assert (result["num_dropped_shots"], result["num_questions_with_dropped_shots"]) == (3, 2)
    assert result["num_flagged"] == 2
    assert (result["num_flagged_blank_option"], result["num_flagged_no_score"]) == (1, 2)
    assert "accuracy_by_letter" not in result
    assert "brier_score" not in result, "what is written has no probability"


def test_baselines_are_guessing_and_the_most_frequent_letter() -> None:
    result = metrics([answered(n, "A", gold) for n, gold in enumerate("ABBC")], seed=0)
    assert (result["chance_accuracy"], result["majority_accuracy"]) == (0.25, 0.5)


def test_perplexity_mode_compares_both_choices() -> None:
    nll = dict.fromkeys("ABCD", 1.5)
    rows = [
        answered(1, "A", "A", logliks=sure(0.7, "A"), mean_nll=nll),
        answered(2, "A", "B", logliks=sure(0.7, "B"), mean_nll=nll),
        answered(3, "C", "C", logliks=sure(0.7, "C"), mean_nll=nll),
        answered(4, "D", "A", logliks=sure(0.7, "D"), mean_nll=nll),
    ]
    result = metrics(rows, seed=0)
    assert (result["accuracy"], result["accuracy_by_letter"], result["agreement"]) == (
        0.5,
        0.75,
        0.75,
    )
    assert result["accuracy_by_letter_low"] is not None


def test_calibration_by_hand() -> None:
    rows = [
        answered(1, "A", "A", logliks=sure(0.7)),  # (10/15, 11/15]: confidence 0.7, accuracy 1/2
        answered(2, "A", "B", logliks=sure(0.7)),
        answered(3, "A", "A", logliks=sure(0.91)),  # (13/15, 14/15]: confidence 0.91, accuracy 1
    ]
    first, second = reliability(rows)
    assert (first.low, first.high) == pytest.approx((10 / 15, 11 / 15))
    assert (first.num_questions, first.accuracy) == (2, 0.5)
    assert first.confidence == pytest.approx(0.7)
    assert (second.num_questions, second.accuracy) == (1, 1)
    result = metrics(rows, seed=0)
    assert result["expected_calibration_error"] == pytest.approx((2 * 0.2 + 0.09) / 3)
    assert result["mean_confidence"] == pytest.approx((0.7 + 0.7 + 0.91) / 3)
    brier = [0.3**2 + 3 * 0.1**2, 0.7**2 + 0.9**2 + 2 * 0.1**2, 0.09**2 + 3 * 0.03**2]
    assert result["brier_score"] == pytest.approx(sum(brier) / 3)


def test_borders_of_bins_belong_to_the_lower_bin_and_certainty_to_the_last() -> None:
    certain = {"A": 0.0, "B": -1000.0, "C": -1000.0, "D": -1000.0}
    rows = [answered(1, "A", "A", logliks=sure(0.6)), answered(2, "A", "A", logliks=certain)]
    assert [(round(15 * bin_.low), round(15 * bin_.high)) for bin_ in reliability(rows)] == [
        (8, 9), (14, 15),
    ]  # fmt: skip


def test_probabilities_of_very_small_likelihoods() -> None:
    shares = probabilities({"A": -2000.0, "B": -2000.0, "C": -3000.0, "D": -2000.0 - math.log(2)})
    assert list(shares.values()) == pytest.approx([0.4, 0.4, 0.0, 0.2])


def test_guesses_without_preference_are_calibrated_at_chance() -> None:
    rows = [answered(n, "A", "ABCD"[n % 4], logliks=dict.fromkeys("ABCD", -3.0)) for n in range(8)]
    result = metrics(rows, seed=0)
    assert result["brier_score"] == pytest.approx(0.75)
    assert result["expected_calibration_error"] == pytest.approx(0)
