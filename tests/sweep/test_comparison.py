"""Which job is best, and what is shown when none can be compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm.launch.local import ERRORS, why
from musicllm.schema import SweepConfig
from musicllm.sweep import comparison
from musicllm.sweep.trial import DONE, FAILED, Result, Trial, make

LOWER = SweepConfig("grid", "val/loss", "minimize", None)
HIGHER = SweepConfig("grid", "accuracy", "maximize", None)


def result(tmp_path: Path, number: int, state: str = DONE, **metrics: float) -> Result:
    named = {name.replace("_", "/"): value for name, value in metrics.items()}
    one = Trial(number, {"seed": number}, (f"seed={number}",), tmp_path / str(number))
    return Result(one, state, tmp_path, use="go on", metrics=named)


def test_the_best_comes_first_and_failures_last(tmp_path: Path) -> None:
    found = [
        result(tmp_path, 0, FAILED),
        result(tmp_path, 1, val_loss=3.0, accuracy=0.5),
        result(tmp_path, 2),
        result(tmp_path, 3, val_loss=2.0, accuracy=0.4),
    ]
    assert [one.trial.number for one in comparison.rank(found, LOWER)] == [3, 1, 2, 0]
    assert [one.trial.number for one in comparison.rank(found, HIGHER)] == [1, 3, 2, 0]


def test_a_metric_that_nobody_measured_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = comparison.show([result(tmp_path, 1, train_loss=2.0, val_loss=2.5)], HIGHER, tmp_path)
    assert code == 0
    assert capsys.readouterr().err == (
        "sweep.metric=accuracy was measured by no job; there are train/loss, val/loss\n"
    )
    assert "1 job, which did not measure accuracy." in (tmp_path / "comparison.html").read_text()


def test_a_sweep_whose_jobs_measure_nothing_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison.show([result(tmp_path, 1)], LOWER, tmp_path)
    assert capsys.readouterr().err == (
        "sweep.metric=val/loss was measured by no job; they recorded no metrics at all\n"
    )


def test_the_compared_metric_is_shown_even_if_its_like_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    speed = SweepConfig("grid", "perf/speed", "maximize", None)
    one = result(tmp_path, 1, perf_speed=12.0, perf_mfu=0.4)
    comparison.show([one], speed, tmp_path)
    text = capsys.readouterr().out
    assert "perf/speed" in text.split("where")[0]
    assert "perf/mfu" not in text


def test_the_terminal_shows_losses_and_the_files_everything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = result(tmp_path, 1, train_loss=2.0, val_loss=2.5, perf_mfu=0.4)
    comparison.show([one], LOWER, tmp_path)
    assert "perf/mfu" not in capsys.readouterr().out
    assert "seed,state,seconds,perf/mfu,train/loss,val/loss,folder\n1,done,,0.4,2.0,2.5" in (
        (tmp_path / "comparison.csv").read_text().replace("\r", "")
    )


def test_why_a_job_failed_is_read_from_what_it_said(tmp_path: Path) -> None:
    assert why(tmp_path, 3).startswith("it ended with exit code 3 and without a word")
    assert why(tmp_path, 75) == "it was stopped (exit code 75); the same command continues"
    assert why(tmp_path, -9) == (
        "it was killed by signal 9, which is often the system's answer to too little memory"
    )
    (tmp_path / ERRORS).write_text("a note\n1 problem:\n  seed=x\n")
    assert why(tmp_path, 2) == "a note\n1 problem:\n  seed=x"
    (tmp_path / ERRORS).write_text("Traceback (most recent call last):\n  ...\nValueError: no\n")
    assert why(tmp_path, 1) == f"ValueError: no (the traceback is in {tmp_path / ERRORS})"


def test_the_folder_of_a_job_is_named_by_what_it_sweeps(tmp_path: Path) -> None:
    assert (
        make(0, {"optimizer.lr": 0.1, "seed": 1}, [], tmp_path).logs.name
        == "optimizer.lr=0.1,seed=1"
    )
    slashed = [make(0, {"inputs.corpus": name}, [], tmp_path).logs.name for name in ("a/b", "a_b")]
    assert slashed[0].startswith("inputs.corpus=a_b-")
    assert slashed[1] == "inputs.corpus=a_b"
