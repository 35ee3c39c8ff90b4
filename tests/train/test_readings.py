from __future__ import annotations

import pytest
import torch

from musicllm.train.readings import Reading, Readings


def reading(step: int, loss: float = 1.5) -> Reading:
    return Reading(step, torch.tensor([loss, 70.0, 2.5], dtype=torch.double))


def test_a_reading_names_its_numbers() -> None:
    one = reading(3)
    one.wait()
    assert (one.step, one.loss, one.num_tokens, one.grad_norm) == (3, 1.5, 70, 2.5)


def test_on_a_cpu_the_newest_reading_is_settled_at_once() -> None:
    readings = Readings()
    assert readings.settled is None
    readings.add(reading(1))
    readings.add(reading(2))
    assert readings.newest is readings.settled is not None
    assert readings.settled.step == 2


def test_where_reading_costs_waiting_the_settled_one_is_a_step_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Reading, "is_free", False)
    readings = Readings()
    readings.add(reading(1))
    assert readings.settled is None
    readings.add(reading(2))
    assert readings.settled is not None
    assert readings.settled.step == 1
    assert readings.newest is not None
    assert readings.newest.step == 2


@pytest.mark.gpu
def test_on_a_gpu_a_reading_waits_for_its_own_step_alone() -> None:
    values = torch.tensor([1.5, 70.0, 2.5], dtype=torch.double, device="cuda")
    readings = Readings()
    readings.add(Reading(1, values))
    matrix = torch.ones(8192, 8192, device="cuda")
    for _ in range(40):
        matrix = matrix @ matrix
    done = torch.cuda.Event()
    done.record()
    readings.add(Reading(2, values + 1))
    assert readings.settled is not None
    assert readings.settled.loss == 1.5
    assert not done.query(), "reading step 1 has waited for what was queued after it"
    assert readings.newest is not None
    assert readings.newest.loss == 2.5
