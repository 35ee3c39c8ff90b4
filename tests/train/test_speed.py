from __future__ import annotations

import pytest
import torch

from musicllm.train.speed import StepClock, Totals, memory_peak_gb, mfu


def test_the_clock_leaves_out_what_is_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("musicllm.train.speed.time.perf_counter", lambda: now[0])
    clock = StepClock()
    with clock.paused("samples"):
        now[0] += 5
    now[0] += 1
    assert clock.lap() == 1.0
    assert clock.lap() == 0.0


def test_speeds_are_means_over_the_steps() -> None:
    totals = Totals(1, 100, 60, 2.0, 0.5)
    totals.add(Totals(3, 300, 140, 6.0, 0.5))
    assert totals.speeds() == {
        "perf/tokens_per_s": 50.0,
        "perf/supervised_tokens_per_s": 25.0,
        "perf/step_time_s": 2.0,
        "perf/data_wait_s": 0.25,
    }


def test_mfu_by_hand() -> None:
    # 3,000 tokens/s of 20 GFLOP each are 60 of 240 TFLOP/s
    assert mfu(3000, 20e9, 240e12) == pytest.approx(0.25)


def test_the_peak_of_a_cpu_is_that_of_the_process() -> None:
    before = memory_peak_gb(torch.device("cpu"))
    assert 0.05 < before < 100
    block = torch.ones(int(before * 1e9) // 4 + 50_000_000)  # more than ever before
    assert memory_peak_gb(torch.device("cpu")) >= before + 0.1
    del block
