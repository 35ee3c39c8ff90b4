from __future__ import annotations

import json
from pathlib import Path

import pytest

from musicllm import cli
from musicllm.bench.merge import measured
from musicllm.bench.random_weights import write_adapter, write_base
from musicllm.model.weights import WeightFiles
from tests.models import LORA, TINY


def test_random_weights_are_merged_and_measured(tmp_path: Path) -> None:
    write_base(tmp_path / "base", TINY, shard_gb=1e-5)
    write_adapter(tmp_path / "adapter", TINY, LORA)
    assert len(WeightFiles.of_model(tmp_path / "base").shapes) == 2 * 9 + 3
    cost = measured(tmp_path, 1, list(range(20)))
    assert cost.report.num_positions == 20
    assert 0 < cost.report.max_abs_difference < cost.report.tolerance
    assert cost.report.max_abs_effect > cost.report.max_abs_difference
    assert cost.shard > 4 * cost.report.num_parameters
    assert cost.peak >= cost.peak_anonymous >= 0
    assert cost.peak > 50e6
    assert cost.seconds > 0


@pytest.mark.slow
def test_the_real_bench_runs_on_a_small_model(tmp_path: Path) -> None:
    small = ["model=tiny", "adapter.r=4", f"paths.runs={tmp_path}"]
    assert cli.main(["recipe=bench/merge", *small]) == 0
    (file,) = (tmp_path / "bench" / "merge").glob("*/bench.json")
    ratios = json.loads(file.read_text())["ratios"]
    assert set(ratios) == {"peak_memory_gb", "peak_anonymous_gb", "shard_gb", "seconds"}
    assert 0.05 < ratios["peak_anonymous_gb"] <= ratios["peak_memory_gb"] < 2
