from __future__ import annotations

import math
import time
from collections.abc import Callable

import pytest

from musicllm.train import fit
from musicllm.train.callbacks import StepClock, Totals, perplexity
from musicllm.train.fit import TrainingRun


def test_the_clock_leaves_out_what_is_paused() -> None:
    clock = StepClock()
    with clock.paused():
        time.sleep(0.05)
    time.sleep(0.01)
    assert 0.01 <= clock.lap() < 0.05
    assert clock.lap() < 0.01


def test_speeds_are_means_over_the_steps() -> None:
    totals = Totals(1, 100, 60, 2.0, 0.5)
    totals.add(Totals(3, 300, 140, 6.0, 0.5))
    assert totals.speeds() == {
        "perf/tokens_per_s": 50.0,
        "perf/supervised_tokens_per_s": 25.0,
        "perf/step_time_s": 2.0,
        "perf/data_wait_s": 0.25,
    }


def test_perplexity() -> None:
    assert perplexity(math.log(8)) == pytest.approx(8)
    assert perplexity(1000.0) == math.inf


def test_the_bar_counts_what_is_left_and_shows_losses(
    make_run: Callable[..., TrainingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[tuple[str, int | None]] = []
    notes: list[str] = []

    class Bar:
        def __init__(self, description: str, total: int | None) -> None:
            bars.append((description, total))

        def __enter__(self) -> Callable[..., None]:
            def advance(*, note: str) -> None:
                notes.append(note)

            return advance

        def __exit__(self, *_: object) -> None:
            bars.append(("closed", None))

    monkeypatch.setattr(fit.console, "progress", Bar)
    make_run(progress_bar=True, max_steps=6, validate_every_steps=4).fit()
    assert bars == [("training", 6), ("closed", None)]
    assert len(notes) == 6
    assert notes[0].startswith("loss 3.")
    assert "validation" not in notes[3]
    assert ", validation 3." in notes[4]
