"""Jobs through submitit, on this machine; what Slurm would be asked for."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from musicllm import cli, config
from musicllm.checks import check
from musicllm.errors import ConfigError, NotAvailableError
from musicllm.launch import slurm
from tests.waiting import wait_for

submitit = pytest.importorskip("submitit")

# a job that was submitted outlives the object that stood for it
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

TRY = ["launcher=slurm", "launcher.cluster=local"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr(slurm, "INTERVAL_S", 0.05)
    # inside the job `local.PROGRAM` is the real one again
    monkeypatch.setattr(slurm, "Call", StandIn)


class StandIn(slurm.Call):
    def __call__(self) -> None:
        from musicllm.launch import local
        from tests.sweep.conftest import ROOT

        local.PROGRAM = (sys.executable, str(ROOT / "tests/sweep/stand_in.py"))
        super().__call__()


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.main(words)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


@pytest.mark.slow
def test_a_failing_job_is_a_failed_job(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["-m", *words, *TRY, "data.max_length=256,667,669"], capsys)
    assert code == 1
    assert "failed: the disk is full" in text
    assert "failed: it was killed by signal 9, which is often" in text
    assert "best val/loss" in text
    assert "2 of 3 jobs failed" in text


def test_a_single_run_is_submitted_and_found_again(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said([*words, *TRY], capsys)
    assert code == 0
    assert "quickstart/prepare is Slurm job " in text
    wait_for(lambda: list(tmp_path.glob("runs/quickstart/prepare/*/artifact/manifest.json")))
    (output,) = tmp_path.glob("runs/quickstart/prepare/*/output.log")
    assert str(output) in text
    code, text = said([*words, *TRY], capsys)
    assert (code, text.split(":")[0]) == (0, "up to date")


@pytest.mark.slow
def test_before_the_limit_a_job_saves_and_is_queued_again(words: list[str], tmp_path: Path) -> None:
    settings, recipe = config.load([*words, *TRY, "data.max_length=668"])
    logs = tmp_path / "logs"
    job = slurm._submitted(settings, recipe, [*words, "data.max_length=668"], logs, [])
    wait_for(lambda: list(tmp_path.glob("runs/quickstart/prepare/*/ready")))
    (task,) = psutil.Process(job._process.pid).children()
    task.send_signal(signal.SIGUSR2)  # as Slurm's warning does
    wait_for(job.done)
    assert job.exception() is None
    assert list(tmp_path.glob("runs/quickstart/prepare/*/saved"))
    assert list(tmp_path.glob("runs/quickstart/prepare/*/artifact/manifest.json"))


class Asked:
    """Takes submitit's place and remembers what it was asked for."""

    parameters: dict[str, Any]

    def __init__(self, folder: Path, **_: Any) -> None:
        self.folder = folder

    def update_parameters(self, **parameters: Any) -> None:
        Asked.parameters = parameters


@pytest.mark.parametrize(
    ("hardware", "task", "nodes", "tasks", "cpus", "gpus"),
    [("a800x16", True, 2, 8, 8, 8), ("v100x8", False, 1, 1, 64, 8), ("cpu", False, 1, 1, 8, None)],
)
def test_what_a_job_asks_for_follows_from_the_hardware(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hardware: str, task: bool, nodes: int,
    tasks: int, cpus: int, gpus: int | None,
) -> None:  # fmt: skip
    monkeypatch.setattr(submitit, "AutoExecutor", Asked)
    words = ["recipe=pretrain", f"hardware={hardware}", "launcher=slurm", "launcher.partition=big"]
    settings, _ = config.load([*words, "launcher.options.qos=long"])
    slurm._executor(settings, "pretrain", tmp_path, is_distributed=task)
    asked = Asked.parameters
    assert (asked["nodes"], asked["tasks_per_node"]) == (nodes, tasks)
    assert (asked["cpus_per_task"], asked["gpus_per_node"]) == (cpus, gpus)
    assert asked["timeout_min"] == 1440
    assert asked["slurm_partition"] == "big"
    assert asked["slurm_signal_delay_s"] == 120
    assert asked["slurm_additional_parameters"] == {"qos": "long"}


def test_without_slurm_it_says_so(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said([*words, "launcher=slurm"], capsys)
    assert code == 1
    assert text == (
        'launcher=slurm: Could not detect "srun", are you indeed on a slurm cluster?; run this '
        "where sbatch is, or try launcher.cluster=local\n"
    )


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(NotAvailableError, match=r"^launcher=slurm needs the extra: pip install"):
        slurm._submitit()


def test_incomplete_launchers_and_pipelines_on_machines_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check(config.load(["recipe=sft", "launcher.name=slurm"])[0])
    assert [problem.key for problem in caught.value.problems] == [
        f"launcher.{key}" for key in ("cluster", "time_minutes", "signal_delay_s", "num_requeues")
    ]
    with pytest.raises(ConfigError, match="submit its steps one by one"):
        check(config.load(["recipe=chatmusician", "launcher=slurm", "hardware=a800x16"])[0])
