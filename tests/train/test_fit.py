from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from musicllm.data.rows import RowStore
from musicllm.errors import NotAvailableError
from musicllm.model.adapters import trained
from musicllm.model.spec import AdapterSpec
from musicllm.train import checkpoints, metrics
from musicllm.train.fit import TrainingRun
from musicllm.train.interruption import SIGNALS
from musicllm.train.module import CausalLMModule
from musicllm.train.readings import Reading
from tests.train.conftest import MUON

MakeRun = Callable[..., TrainingRun]


def lines(run: TrainingRun) -> list[dict[str, Any]]:
    """Return metrics.jsonl without speeds, which no two runs share."""
    return [
        {name: value for name, value in line.items() if not name.startswith("perf/")}
        for line in metrics.read(run.folder / metrics.NAME)
    ]


def assert_same(left: TrainingRun, right: TrainingRun) -> None:
    assert lines(left) == lines(right)
    ours, theirs = trained(left.model), trained(right.model)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def crash_at(monkeypatch: pytest.MonkeyPatch, step: int, action: Callable[[], None]) -> None:
    """Do something when a step is finished, once."""
    finish, counted = CausalLMModule.finish_step, [0]

    def finish_step(module: CausalLMModule, finished: int) -> Reading:
        counted[0] += 1
        if module.start_step + counted[0] == step:
            monkeypatch.setattr(CausalLMModule, "finish_step", finish)
            action()
        return finish(module, finished)

    monkeypatch.setattr(CausalLMModule, "finish_step", finish_step)


def fail() -> None:
    raise RuntimeError("the power went out")


def test_a_run_learns_and_writes_every_step(make_run: MakeRun) -> None:
    run = make_run(max_steps=40, validate_every_steps=15)
    result = run.fit()
    written = lines(run)
    assert [line["step"] for line in written if "train/loss" in line] == list(range(1, 41))
    assert [line["step"] for line in written if "val/loss" in line] == [15, 30, 40]
    first = written[0]
    assert result.train_loss is not None
    assert result.train_loss < first["train/loss"] - 0.5
    assert result.validation_loss == written[-1]["val/loss"]
    assert first["train/learning_rate"] == pytest.approx(1e-2 / 9), "8 steps of warm-up"
    assert result.work.num_steps == 40


def test_tokens_and_speeds_are_counted(make_run: MakeRun) -> None:
    run = make_run(max_steps=2, log_every_steps=2)
    work = run.fit().work
    rows = [int(row) for step in (0, 1) for row in run._batches(0, ()).rows_of_step(step)]
    assert work.num_tokens == run.train_rows.num_tokens[rows].sum()
    assert work.num_supervised == run.train_rows.num_supervised[rows].sum()
    (line,) = [line for line in metrics.read(run.folder / metrics.NAME) if "train/loss" in line]
    assert line["perf/tokens_per_s"] == pytest.approx(work.num_tokens / work.seconds)
    assert line["perf/step_time_s"] == pytest.approx(work.seconds / 2)
    assert 0 < line["perf/data_wait_s"] < line["perf/step_time_s"]


@pytest.mark.parametrize(
    "kind",
    [
        "muon",
        "worker",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("full", "lora", "bf16")),
    ],
)
def test_a_crashed_run_continues_bit_by_bit(
    make_run: MakeRun, lora: AdapterSpec, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    changes: dict[str, Any] = {
        "full": {},
        "lora": {"adapter": lora},
        "muon": {"optimizer": MUON},
        "bf16": {"machine": {"precision": "bf16-mixed"}},
        "worker": {"machine": {"num_data_workers": 1}},
    }[kind]
    straight = make_run(folder="straight", **changes)
    straight.fit()
    crash_at(monkeypatch, 8, fail)
    with pytest.raises(RuntimeError, match="power"):
        make_run(**changes).fit()
    resumed = make_run(**changes)
    assert lines(resumed)[-1]["step"] == 7, "one line beyond the checkpoint, to be cut off"
    result = resumed.fit()
    assert result.start_step == 6
    assert result.work.num_steps == 4
    assert_same(straight, resumed)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 75),
        pytest.param(signal.SIGUSR1, 75, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_a_checkpoint_and_says_how_to_continue(
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    straight = make_run(folder="straight")
    straight.fit()
    before = [signal.getsignal(one) for one in SIGNALS]
    crash_at(monkeypatch, 5, lambda: os.kill(os.getpid(), number))
    stopped = make_run()
    with pytest.raises(SystemExit) as stop:
        stopped.fit()
    assert stop.value.code == code
    folder = checkpoints.folder_of(stopped.folder, 5)
    assert capsys.readouterr().err == (
        f"stopped after step 5 of 10, which is saved in {folder}; "
        f"the same command continues there\n"
    )
    assert [signal.getsignal(one) for one in SIGNALS] == before
    resumed = make_run()
    assert resumed.fit().start_step == 5
    assert_same(straight, resumed)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_kill_minus_nine_loses_nothing_but_time(make_run: MakeRun, lora: AdapterSpec) -> None:
    words: dict[str, Any] = {
        "adapter": dataclasses.replace(lora, train_embeddings=True),
        "machine": {"num_data_workers": 1},
        "checkpoint_every_steps": 1,
    }
    straight = make_run(folder="straight", **words)
    straight.fit()
    killed = make_run(**words)
    for num_lines in (3, 7, 10):
        child = multiprocessing.get_context("fork").Process(target=killed.fit)
        child.start()
        while child.is_alive() and len(lines(killed)) < num_lines:
            time.sleep(0.002)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        assert child.exitcode == -signal.SIGKILL
    resumed = make_run(**words)
    assert resumed.fit().start_step > 0
    assert_same(straight, resumed)


def test_a_finished_run_only_loads_its_weights(make_run: MakeRun) -> None:
    first = make_run()
    expected = first.fit()
    again = make_run()
    result = again.fit()
    assert result == dataclasses.replace(expected, start_step=10, work=result.work)
    assert result.work.num_steps == 0
    assert_same(first, again)


def test_checkpoints_hold_only_what_is_trained_and_the_last_ones_stay(
    make_run: MakeRun, lora: AdapterSpec
) -> None:
    run = make_run(lora)
    run.fit()
    kept = sorted(path.name for path in (run.folder / "checkpoints").iterdir())
    assert kept == ["step-00000009", "step-00000010"]
    newest = checkpoints.newest(run.folder, run.identity)
    assert newest is not None
    assert all("lora_" in name for name in newest.weights())


def test_other_settings_do_not_continue_from_a_checkpoint(
    make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(max_steps=4).fit()
    other = dataclasses.replace(make_run(max_steps=4, seed=12), identity="ba9876543210")
    assert other.fit().start_step == 0
    assert [line["step"] for line in lines(other)] == [1, 2, 3, 4, 4]
    assert "it was made with other settings or inputs" in capsys.readouterr().err


def test_nothing_is_said_but_the_progress(
    make_run: MakeRun, capfd: pytest.CaptureFixture[str]
) -> None:
    make_run(progress_bar=True, max_steps=3).fit()
    assert capfd.readouterr() == ("", "")


def test_without_validation_rows_there_is_no_validation(
    make_run: MakeRun, make_rows: Callable[..., RowStore], tmp_path: Path
) -> None:
    empty = make_rows(tmp_path / "empty", num_documents=0, seed=0)
    run = dataclasses.replace(make_run(max_steps=2), validation_rows=empty)
    assert run.fit().validation_loss is None
    assert [line["step"] for line in lines(run)] == [1, 2]


def test_a_model_that_changes_its_logits_in_an_unknown_way_is_refused(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    forward = type(run.model).forward

    def capped(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        output.logits = 0.1 * output.logits.div(0.1).tanh()
        return output

    monkeypatch.setattr(type(run.model), "forward", capped)
    with pytest.raises(NotAvailableError, match=r"changes its logits after the output head"):
        run.fit()
