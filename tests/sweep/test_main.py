"""A sweep from the command to its comparison, with a stage that takes no time."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from musicllm import cli
from tests.sweep.conftest import ROOT
from tests.waiting import PATIENCE_S, wait_for

FRACTION = "data.validation_fraction"


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.main(["-m", *words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def sweep_folder(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs" / "sweeps").iterdir()
    return folder


def compared(tmp_path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        (sweep_folder(tmp_path) / "comparison.json").read_text()
    )
    return found


def test_jobs_are_compared_failures_reported_and_the_same_command_continues(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = [*words, "data.max_length=256,512,666", "launcher.num_parallel=2"]
    code, text = said(swept, capsys)
    assert code == 1
    assert "[1/3] data.max_length=256\n" in text
    assert "failed: RuntimeError: a bug of ours (the traceback is in " in text
    assert "1 of 3 jobs failed; the same command tries them again" in text
    assert "best val/loss, 1.022: data.max_length=256" in text  # 1 + (0.05 - 0.2)^2
    jobs = compared(tmp_path)
    assert [job["state"] for job in jobs] == ["done", "done", "failed"]
    assert jobs[0]["metrics"] == pytest.approx({"train/loss": 1.0225, "val/loss": 1.0225})
    summary = json.loads((Path(jobs[0]["folder"]) / "summary.json").read_text())
    assert jobs[0]["seconds"] == summary["seconds"]
    assert f"use it: inputs.corpus={jobs[0]['folder']} in a recipe that trains" in text
    assert "Traceback (most recent call last)" in (Path(jobs[2]["logs"]) / "errors.log").read_text()

    code, text = said(swept, capsys)
    assert code == 1
    assert text.count("up to date: ") == 2
    assert [job["state"] for job in compared(tmp_path)] == ["up to date", "up to date", "failed"]


@pytest.mark.slow
def test_a_mistake_prints_its_block_and_the_others_run(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swept = [*words, "name=mine", "data.max_length=0,667,256"]
    code, text = said(swept, capsys)
    assert code == 1
    assert "failed: 1 problem in the configuration:\n  data.max_length=0 must be from 2 to" in text
    assert "failed: the disk is full" in text
    assert "Traceback" not in text
    folder = tmp_path / "runs" / "sweeps" / "mine"
    with (folder / "comparison.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["state"] for line in lines] == ["done", "failed", "failed"]
    assert float(lines[0]["val/loss"]) == pytest.approx(1.0225)
    assert (folder / "comparison.png").read_bytes().startswith(b"\x89PNG")
    page = (folder / "comparison.html").read_text()
    assert "The lowest val/loss came from data.max_length=256." in page
    assert "the disk is full" in page
    assert "<svg" in page


@pytest.mark.slow
def test_a_search_finds_the_smallest_loss(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    swept = [*words, "sweep=optuna", f"{FRACTION}=interval(0.0,0.4)"]
    assert said([*swept, "sweep.num_trials=2"], capsys)[0] == 0
    code, text = said([*swept, "sweep.num_trials=3"], capsys)
    assert code == 0
    assert text.count("up to date: ") == 2
    assert "sweep of 3 jobs in " in text
    losses = [job["metrics"]["val/loss"] for job in compared(tmp_path)]
    assert losses == sorted(losses)
    assert len(losses) == 3


@pytest.mark.slow
def test_a_search_knows_nothing_of_another_with_the_same_name(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")
    swept = [*words, "name=mine", "sweep=optuna", "sweep.num_trials=1"]
    for low, high in ((0.0, 0.1), (0.3, 0.4)):
        code, text = said([*swept, f"{FRACTION}=interval({low},{high})"], capsys)
        assert code == 0, text
        (job,) = compared(tmp_path)
        assert low <= float(job["settings"][FRACTION]) <= high


def test_mistakes_of_the_sweep_itself_end_the_command(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said([*words, "sweep.direction=lower", "seed=1,2"], capsys)
    assert code == 2
    assert "sweep.direction=lower must be one of minimize, maximize" in text
    code, text = said([*words, "sweep=optuna", "sweep.num_trials=null", "seed=1,2"], capsys)
    assert code == 2
    assert "sweep.num_trials=null leaves the search without an end" in text
    assert said([*words, "sweep.trials=3", "seed=1,2"], capsys)[0] == 2
    code, text = said([*words, "sweep.num_trials=3", "seed=1,2"], capsys)
    assert code == 2
    assert "sweep.num_trials=3 has no effect on sweep=grid, which runs every combination" in text
    code, text = said([*words, "sweep=optuna", "launcher=slurm", "seed=1,2"], capsys)
    assert code == 2
    assert "launcher.num_parallel=null starts all jobs of a search at once, so that none" in text
    train = ["recipe=quickstart/pretrain", *words[1:], "training.step_choices=[]"]
    code, text = said([*train, "training.max_hours=1", "seed=1,2"], capsys)
    assert code == 2
    assert "training.max_hours=1.0 gives every job of a sweep another number of steps" in text


@pytest.mark.slow
def test_a_stopped_sweep_lets_its_job_save_and_continues(words: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; from musicllm import cli; from musicllm.launch import local;"
        f"local.PROGRAM = (sys.executable, {str(ROOT / 'tests/sweep/stand_in.py')!r});"
        "sys.exit(cli.main())"
    )
    command = [sys.executable, "-c", program, "-m", *words, "data.max_length=668"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    first = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: list((tmp_path / "runs").glob("quickstart/prepare/*/ready")), first)
    first.send_signal(signal.SIGTERM)
    _, errors = first.communicate(timeout=PATIENCE_S)
    assert first.returncode == 75
    assert "the sweep was stopped; the same command continues" in errors
    assert list((tmp_path / "runs").glob("quickstart/prepare/*/saved"))
    assert subprocess.run(command, env=environment, check=False).returncode == 0
