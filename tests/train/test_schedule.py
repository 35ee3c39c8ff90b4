from __future__ import annotations

import pytest

from musicllm.train.schedule import Schedule


def scales(name: str, num_steps: int, warmup_steps: int, min_lr_ratio: float) -> list[float]:
    schedule = Schedule(name, num_steps, warmup_steps, min_lr_ratio)
    return [schedule.lr_scale(step) for step in range(num_steps)]


def test_warm_up_rises_linearly_from_zero_and_its_first_step_is_not_wasted() -> None:
    assert scales("constant", 6, 3, 0.0) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_linear_falls_from_the_peak_towards_the_minimum() -> None:
    # four steps after the warm-up: 1, then 3/4, 1/2, 1/4 of the way above 0.2
    assert scales("linear", 5, 1, 0.2) == pytest.approx([0.5, 1.0, 0.8, 0.6, 0.4])


def test_cosine_is_half_way_in_the_middle() -> None:
    values = scales("cosine", 4, 0, 0.1)
    assert values[0] == 1.0
    assert values[2] == pytest.approx(0.1 + 0.9 * 0.5)
    assert values[3] == pytest.approx(0.1 + 0.9 * (1 - 0.5**0.5) / 2)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_the_step_after_the_last_would_have_the_minimum(name: str) -> None:
    schedule = Schedule(name, 10, 2, 0.3)
    assert schedule.lr_scale(10) == pytest.approx(0.3)
    assert schedule.lr_scale(9) > 0.3


def test_a_run_that_is_all_warm_up_works() -> None:
    assert scales("cosine", 1, 1, 0.0) == [0.5]
