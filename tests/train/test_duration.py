from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.model.flops import Documents
from musicllm.train.duration import Duration, Text, measured_cpu_flops_per_s, text_of


def test_hours_are_work_over_rate() -> None:
    work = Duration(
        num_steps=100,
        num_tokens=3_600_000,
        supervised_share=1.0,
        mean_context=8.0,
        flops_per_token=2e9,
        flops_per_update=0.0,
        peak_flops_per_s=10e12,
        expected_mfu=0.4,
        num_devices=2,
        rehearsed_step_s=None,
    )
    assert work.tokens_per_s == 2000
    assert work.step_s == 18
    assert work.hours == 0.5
    # every device computes 9e12 FLOPs of an update beside its half of 36,000 tokens
    slower = dataclasses.replace(work, flops_per_update=9e12)
    assert slower.step_s == 18 + 4.5
    assert slower.hours == 0.625
    rehearsed = dataclasses.replace(work, rehearsed_step_s=36.0)
    assert (rehearsed.hours, rehearsed.tokens_per_s) == (1.0, 1000)


@pytest.mark.parametrize(("peak", "mfu"), [(None, 0.4), (1e12, None)])
def test_time_is_unknown_without_a_rate(peak: float | None, mfu: float | None) -> None:
    work = Duration(1, 1, 1.0, 1.0, 1.0, 0.0, peak, mfu, 1, None)
    assert work.tokens_per_s is None
    assert work.hours is None


def test_a_prepared_split_tells_how_full_its_rows_are() -> None:
    split = {
        "rows": 10,
        "tokens": 900,
        "supervised_tokens": 450,
        "lengths": {"edges": [0, 2, 4, 8, 16], "counts": [0, 0, 2, 1]},
    }
    # documents of about 6, 6 and 12 tokens; 10 is the longest that a row of 10 holds
    squares, lengths = 6 * 6 + 6 * 6 + 10 * 10, 6 + 6 + 10
    text = text_of(split, 10)
    assert (text.fill, text.supervised_share) == (1.0, 0.5)
    assert text.documents.mean_context() == pytest.approx((squares / lengths + 1) / 2)
    assert text.documents.typical_length == pytest.approx(squares / lengths)
    assert text_of(split, 100).fill == 0.9


def test_rows_that_are_not_prepared_count_as_full_of_one_document() -> None:
    assert text_of(None, 2048) == Text(1.0, 1.0, Documents.of([2048]))
    assert Documents.of([2048]).mean_context() == 1024.5


def test_measuring_the_rate_leaves_the_threads() -> None:
    before = torch.get_num_threads()
    assert measured_cpu_flops_per_s("float32", 2) > 1e8
    assert torch.get_num_threads() == before
