from __future__ import annotations

import json

import pytest

from musicllm.evals.kind import subset_words
from musicllm.evals.results import (
    HARNESS_KEYS,
    bootstrap,
    bootstrap_shares,
    wilson,
    with_interval,
    write_results,
    write_rows,
)


def test_wilson_by_hand() -> None:
    # 5 of 10: centre 0.5, spread 1.96 * sqrt(0.025 + 0.9604 / 100) / 1.38416 = 0.2634
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    # 0 of 10: the upper bound is z^2 / (n + z^2) = 3.8415 / 13.8415
    assert wilson(0, 10) == pytest.approx((0.0, 0.27754), abs=1e-5)
    assert wilson(10, 10) == pytest.approx((0.72246, 1.0), abs=1e-5)


def test_wilson_knows_nothing_without_trials() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_bootstrap_of_equal_values_is_their_value() -> None:
    assert bootstrap([0.5, 0.5, 0.5], seed=0) == (0.5, 0.5)
    assert bootstrap([1.0, 3.0], seed=0, weights=[2.0, 6.0]) == (0.5, 0.5)


def test_bootstrap_covers_the_mean_as_the_normal_approximation_does() -> None:
    values = [0.0, 1.0] * 200  # standard error 0.5 / sqrt(400) = 0.025
    low, high = bootstrap(values, seed=1)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.01)


def test_bootstrap_depends_on_its_seed_alone() -> None:
    values = [0.1, 0.7, 0.2, 0.9]
    assert bootstrap(values, seed=3) == bootstrap(values, seed=3)
    assert bootstrap(values, seed=3) != bootstrap(values, seed=4)


def test_bootstrap_without_any_weight_is_zero() -> None:
    assert bootstrap([0.0, 0.0], seed=0, weights=[0.0, 0.0]) == (0.0, 0.0)


def test_interval_names() -> None:
    metrics = with_interval("accuracy", 0.5, (0.4, 0.6))
    assert metrics == {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6}


def test_shares_are_resampled_within_their_parts() -> None:
    low, high = bootstrap_shares([(200, 400)], seed=0)
    assert (low, high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.006)
    low, high = bootstrap_shares([(200, 400), (400, 400)], seed=0)
    assert (low, high) == pytest.approx((0.75 - 1.96 * 0.0125, 0.75 + 1.96 * 0.0125), abs=0.003)
    assert bootstrap_shares([(0, 3), (3, 3)], seed=0) == (0.5, 0.5)


def test_a_subset_is_said_in_words() -> None:
    facts = {"complete": False, "num_questions": 570, "num_available": 14_042}
    assert subset_words(facts) == "subset: 570 of 14,042 questions"
    assert subset_words({"complete": False, "num_questions": 1_200}) == "subset: 1,200 questions"
    assert subset_words(facts | {"complete": True}) == ""
    tunes = {"complete": False, "num_questions": 20, "num_available": None, "kind": "generation"}
    assert subset_words(tunes) == "subset: 20 requests"


def test_files(tmp_path) -> None:
    write_results(tmp_path, {"model": {"theory": {"accuracy": 0.25}}})
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["models"] == {"model": {"theory": {"accuracy": 0.25}}}
    assert {key: results[key] for key in HARNESS_KEYS} == {key: {} for key in HARNESS_KEYS}
    write_rows(tmp_path / "rows.jsonl", [{"stem": "é"}, {"stem": "b"}])
    assert (tmp_path / "rows.jsonl").read_text() == '{"stem": "é"}\n{"stem": "b"}\n'


def harness(accuracy: float, *tasks: str) -> dict[str, object]:
    """Return what the harness returns for a group of tasks."""
    metrics = {"acc,none": accuracy, "acc_stderr,none": float("nan")}
    return {
        "results": dict.fromkeys(("group", *tasks), metrics),
        "groups": {"group": metrics},
        "group_subtasks": {"group": list(tasks)},
        "configs": {task: {"fewshot_split": "dev", "num": (1, 2)} for task in tasks},
        "versions": dict.fromkeys(tasks, 1.0),
        "n-shot": dict.fromkeys(tasks, 5),
        "higher_is_better": {task: {"acc": True} for task in tasks},
        "n-samples": {task: {"original": 4, "effective": 4} for task in tasks},
        "samples": {},
    }


def test_results_have_the_harness_layout_at_the_top(tmp_path) -> None:
    write_results(
        tmp_path,
        {"model": {"mmlu": {"accuracy": 0.5}}, "baseline": {"mmlu": {"accuracy": 0.25}}},
        benchmarks={"mmlu": {"complete": False, "num_questions": 4}},
        comparisons={"mmlu": {"difference": 0.25}},
        harness={
            "model": {"mmlu": harness(0.5, "mmlu_law")},
            "baseline": {"mmlu": harness(0.25, "mmlu_law")},
        },
    )
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["results"]["mmlu_law"] == {"acc,none": 0.5, "acc_stderr,none": None}
    assert results["groups"]["group"]["acc,none"] == 0.5
    assert results["n-shot"] == {"mmlu_law": 5}
    assert results["configs"]["mmlu_law"]["num"] == [1, 2]
    assert results["other_models"]["baseline"]["results"]["mmlu_law"]["acc,none"] == 0.25
    assert results["benchmarks"]["mmlu"]["complete"] is False
    assert results["comparisons"] == {"mmlu": {"difference": 0.25}}
    assert "samples" not in results


def test_a_task_of_two_benchmarks_is_named_by_both(tmp_path) -> None:
    both = {"mmlu": harness(0.5, "mmlu_law"), "mmlu_0shot": harness(0.4, "mmlu_law", "mmlu_art")}
    write_results(tmp_path, {}, harness={"model": both})
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results["results"]) == {
        "mmlu/group", "mmlu/mmlu_law", "mmlu_0shot/group", "mmlu_0shot/mmlu_law", "mmlu_art",
    }  # fmt: skip
    assert results["group_subtasks"] == {
        "mmlu/group": ["mmlu/mmlu_law"],
        "mmlu_0shot/group": ["mmlu_0shot/mmlu_law", "mmlu_art"],
    }


def test_rows_without_numbers_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_rows(tmp_path / "rows.jsonl", [{"nll": float("nan")}])
