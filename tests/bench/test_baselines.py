"""A bench is compared with what was committed for its kind of machine and its settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musicllm.bench import baselines

CONTENT: dict[str, Any] = {
    "recipe": "bench/memory",
    "fingerprint": "0123456789ab",
    "ratios": {"peak_memory_10x": 1.1},
    "command": "python -m musicllm recipe=bench/memory",
    "date": "2026-11-30T08:00:00+00:00",
    "machine": {"kind": "CPU AVX2", "cores": 2},
    "medians": {},
}


def test_a_baseline_counts_for_its_machine_recipe_and_settings_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, bench = tmp_path / "baselines.json", tmp_path / "bench.json"
    file.write_text(json.dumps({"CPU AVX2": {"bench/merge": {"ratios": {}}}}))
    bench.write_text(json.dumps(CONTENT))
    monkeypatch.setattr(baselines, "FILE", file)
    assert baselines.baseline_of(CONTENT) is None
    baselines.write_baseline(bench)
    assert baselines.baseline_of(CONTENT) == {"peak_memory_10x": 1.1}
    others = ({"fingerprint": "b"}, {"recipe": "bench/eval"}, {"machine": {"kind": "CPU AVX512"}})
    assert [baselines.baseline_of(CONTENT | other) for other in others] == [None] * 3
    bench.write_text(json.dumps(CONTENT | {"ratios": {"peak_memory_10x": 1.2}}))
    baselines.write_baseline(bench)
    assert baselines.baseline_of(CONTENT) == {"peak_memory_10x": 1.2}
    assert json.loads(file.read_text())["CPU AVX2"]["bench/merge"] == {"ratios": {}}


@pytest.mark.parametrize(
    ("baseline", "value", "goal", "expected"),
    [
        (10, 9, "at least 5", 0.1),
        (10, 11, "at least 5", 0),
        (10, 11, "at most 20, at most of the time", 0.1),
        (10, 9, "at most 20", 0),
        (10, 1, "none", 0),
        (0, 0, "at most 1", 0),
        (0, 1e-9, "at most 1", float("inf")),
    ],
)
def test_worse_is_less_than_a_benefit_or_more_than_a_cost(
    baseline: float, value: float, goal: str, expected: float
) -> None:
    assert baselines.loss_against(baseline, value, goal) == pytest.approx(expected)


def test_the_committed_baselines_are_complete() -> None:
    committed = json.loads(baselines.FILE.read_text(encoding="utf-8"))
    for kind, recipes in committed.items():
        assert kind.startswith("CPU ") or " x " in kind
        for recipe, baseline in recipes.items():
            assert recipe.startswith("bench/")
            assert baseline["ratios"]
            assert len(baseline["fingerprint"]) == 12
