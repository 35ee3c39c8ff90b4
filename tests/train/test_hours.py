"""How many steps fit, worked by hand."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest
import torch

from musicllm.errors import StageError
from musicllm.train.fit import TrainingRun
from musicllm.train.hours import RESERVE, Hours, Pace, expected_length
from musicllm.train.interruption import REQUEUE_EXIT_CODE
from musicllm.train.pilot import FEWEST, WARM_UP, Pilot
from musicllm.train.readings import Reading
from tests.train.test_fit import crash_at

MakeRun = Callable[..., TrainingRun]

PACE = Pace(
    step_s=2.0,
    start_s=10.0,
    end_s=4.0,
    num_steps=5,
    pauses={"validation": 6.0, "checkpoint": 1.0},
)
EVERY = {"validation": 10, "checkpoint": 25, "samples": 1}


def of(budget_s: float, used_s: float = 0.0) -> Hours:
    return Hours(PACE, EVERY, budget_s / (1 - RESERVE), used_s)


def test_a_run_takes_its_start_its_steps_what_is_between_and_its_end() -> None:
    assert (
        of(0).seconds(20) == 10 + 40 + 2 * 6 + 1 * 1 + 2 * 4
    )  # after 10, 20; after 20; save twice
    assert of(0).seconds(21) == 10 + 42 + 3 * 6 + 1 * 1 + 2 * 4
    assert of(0).seconds(26) == 10 + 52 + 3 * 6 + 2 * 1 + 2 * 4


def test_the_most_steps_that_end_in_time_are_taken() -> None:
    assert of(71).length(None).num_steps == 20
    assert of(78.9).length(None).num_steps == 20  # the 21st needs another validation
    assert of(79).length(None).num_steps == 21
    assert of(179, used_s=100).length(None).num_steps == 21
    assert of(79).length(None).why == (
        "the most that end within 80.6 s at 2 s a step, measured over 5 steps"
    )


def test_every_budget_is_used_to_the_last_step() -> None:
    for budget in range(40, 400):
        hours = of(budget)
        steps = hours.length(None).num_steps
        assert hours.seconds(steps) <= budget + 1e-9 < hours.seconds(steps + 1) + 1e-6


def test_another_limit_applies_if_it_is_smaller() -> None:
    length = of(3600).length(20)
    assert length.num_steps == 20
    assert length.why == (
        "all of training.num_epochs or max_steps, which end within 61.2 min, after 71 s at 2 s a "
        "step, measured over 5 steps"
    )
    assert of(71).length(10_000).num_steps == 20
    assert length.step_s == of(71).length(None).step_s == 2.0


def test_hours_that_are_over_before_a_step_are_refused() -> None:
    with pytest.raises(StageError) as caught:
        of(36, used_s=18).length(None)
    assert str(caught.value) == (
        "training.max_hours=0.0102041 is over before the first step: start, measurement, one step "
        "and the end take 0.013 h; write more"
    )


def test_before_the_measurement_an_estimate_stands_in_the_plan() -> None:
    later = "the run measures steps in its first minutes, and then fixes the number"
    assert expected_length(3600, 2.0, None).as_text() == (
        f"1,764: about the most that end within 60 min at an expected 2 s a step; {later}"
    )
    assert expected_length(3600, 2.0, 100).as_text() == (
        "100: all of training.num_epochs or max_steps, which end within 60 min at an expected 2 s "
        f"a step; {later}"
    )
    assert expected_length(3600, None, 100).as_text() == (
        "100: at most, by training.num_epochs or max_steps; fewer if they do not end within 60 "
        f"min; {later}"
    )


def test_a_pilot_times_steps_and_what_happens_between_them(make_run: MakeRun) -> None:
    run = make_run(max_steps=2, validate_every_steps=1, checkpoint_every_steps=1)
    began = time.perf_counter()
    pace = run.measure(0.0, began, tokens_per_step=1e6)
    seconds = time.perf_counter() - began
    assert pace.num_steps == FEWEST, "the plan of two steps does not end the measurement"
    assert set(pace.pauses) == {"validation", "checkpoint"}, "once each, after the last step"
    assert pace.end_s >= pace.pauses["checkpoint"] > 0
    assert 0 < pace.start_s < seconds
    again = make_run(max_steps=2, folder=run.folder).measure(0.0, began, tokens_per_step=2e6)
    assert again.step_s > 0


def test_the_time_of_a_step_is_scaled_to_the_tokens_of_the_run(make_run: MakeRun) -> None:
    timer = Pilot(0.0, 0.0)
    timer._readings = [
        Reading(3, torch.tensor([2.0, 30.0, 1.0])),
        Reading(4, torch.tensor([2.0, 50.0, 1.0])),
    ]
    timer._step_s, timer._first_step, timer._began = 4.0, 10.0, 25.0
    pace = timer.pace(tokens_per_step=60.0)
    assert pace.step_s == 6.0  # 60 tokens instead of 40
    assert pace.start_s == 15.0 - WARM_UP * 4.0, "what the first steps took longer"


def test_a_signal_during_the_measurement_stops_it(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crash_at(monkeypatch, 2, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as caught:
        make_run().measure(60.0, time.perf_counter(), tokens_per_step=1.0)
    assert caught.value.code == REQUEUE_EXIT_CODE
    said = "".join(capsys.readouterr()).replace("\n", " ")
    assert "stopped while steps were measured; the same command starts again" in said
