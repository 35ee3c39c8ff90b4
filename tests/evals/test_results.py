from __future__ import annotations

import json

import pytest

from musicllm.evals.results import bootstrap, wilson, with_interval, write_results, write_rows


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


def test_files(tmp_path) -> None:
    write_results(tmp_path, {"model": {"theory": {"accuracy": 0.25}}})
    results = json.loads((tmp_path / "results.json").read_text())
    assert results == {"models": {"model": {"theory": {"accuracy": 0.25}}}}
    write_rows(tmp_path / "rows.jsonl", [{"stem": "é"}, {"stem": "b"}])
    assert (tmp_path / "rows.jsonl").read_text() == '{"stem": "é"}\n{"stem": "b"}\n'


def test_rows_without_numbers_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_rows(tmp_path / "rows.jsonl", [{"nll": float("nan")}])
