from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from musicllm.bench.train import run
from musicllm.bench.train.loops import bare, padded, samples
from musicllm.bench.train.ours import ours
from musicllm.bench.train.stopwatch import Measurement, Stopwatch, peak_bytes
from musicllm.bench.train.task import TrainingSettings, TrainTask
from musicllm.bench.train.trainer import hf_trainer
from musicllm.train.settings import Machine
from tests.models import LORA, TINY
from tests.train.conftest import ADAMW, CALLBACKS, SINGLE
from tests.train.conftest import TRAINING as FIT

FULL = dataclasses.replace(LORA, kind="full", r=None, alpha=None, dropout=None, targets=())
TRAINING = TrainingSettings(
    machine=Machine("cpu", 1, 1, "32-true", SINGLE, False, 1, 0),
    optimizer=dataclasses.replace(ADAMW, lr=1e-3),
    attention="auto",
    num_steps=2,
    rows_per_step=4,
    max_rows_per_device=2,
    max_length=64,
    gradient_clip=1.0,
    fit=dataclasses.replace(FIT, log_every_steps=2),
    callbacks=CALLBACKS,
    activation_checkpointing=False,
    compile=False,
)


@pytest.fixture
def task(tmp_path: Path) -> TrainTask:
    task = TrainTask(TINY, FULL, TRAINING, num_documents=60, seed=7, work=tmp_path)
    task.write_rows()
    return task


def test_conversations_have_the_lengths_of_musicpile_and_short_questions(task: TrainTask) -> None:
    long = dataclasses.replace(TRAINING, max_length=100_000)
    documents = dataclasses.replace(task, num_documents=4_000, training=long).conversations()
    assert 700 < documents.lengths.mean() < 900
    assert 0.65 < documents.supervised.mean() < 0.75
    assert not documents.supervised[documents.offsets[:-1]].any()
    assert task.conversations().lengths.max() == 64, "cut at the length of a row"


def test_ours_and_the_bare_loop_train_on_the_same_tokens(task: TrainTask) -> None:
    mine, theirs = ours(task), bare(task)
    assert (mine.num_tokens, mine.num_supervised) == (theirs.num_tokens, theirs.num_supervised)
    assert len(mine.seconds) == len(theirs.seconds) == 2
    for measured in (mine, theirs):
        assert sum(measured.parts.values()) == pytest.approx(sum(measured.seconds) / 2)
        assert min(measured.parts.values()) > 0
        assert measured.first_step_s >= measured.seconds[0] / 10


def test_padding_is_not_counted(task: TrainTask) -> None:
    measured = padded(task)
    counted = samples(task)[8:16]  # two steps of four, after two that warm up
    assert measured.num_tokens == sum(len(each["input_ids"]) for each in counted)
    assert measured.num_supervised == sum(
        label >= 0 for each in counted for label in each["labels"]
    )


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_transformers_runs_with_its_flags(task: TrainTask) -> None:
    measured = hf_trainer(dataclasses.replace(task, adapter=LORA))
    assert len(measured.seconds) == 2
    assert measured.num_supervised < measured.num_tokens


def test_a_stopwatch_leaves_out_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(ticks)))
    stopwatch = Stopwatch(torch.device("cpu"))  # at 0
    stopwatch.start()  # at 1
    for _ in range(3):
        stopwatch.part("data")
        stopwatch.part("forward")
        stopwatch.count_tokens(10, 4)
        stopwatch.end_step()
    measured = stopwatch.measured()
    assert measured.seconds == (2.0,)
    assert measured.parts == {"data": 1.0, "forward": 1.0, "backward": 0.0, "optimizer": 0.0}
    assert (measured.num_tokens, measured.num_supervised) == (10, 4)
    assert measured.first_step_s == 4.0


def rounds(*seconds: tuple[float, ...]) -> list[Measurement]:
    return [Measurement(each, {}, 100, 50, 0, 0.0) for each in seconds]


def test_overhead_compares_the_fastest_round_of_every_step() -> None:
    slow_once, steady = rounds((1.0, 9.0), (5.0, 2.2)), rounds((1.0, 2.0), (1.0, 2.0))
    assert run.overhead(slow_once, steady) == pytest.approx(3.2 / 3.0)


def test_key_figures_by_hand(task: TrainTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "flops_per_token", lambda _: 3.0)
    measured = {
        "ours": rounds((1.0, 1.0)),
        "bare loop": rounds((0.9, 1.1)),
        "padded loop": rounds((3.0, 3.0)),
    }
    ratios = run._ratios(task, measured, peak=600.0)
    assert ratios == pytest.approx(
        {"overhead_vs_bare_loop": 1.0, "vs_padded_loop": 3.0, "mfu": 3.0 * 50 / 600}
    )
    assert set(ratios) <= set(run.GOALS)


def test_flops_and_memory_are_of_this_task(
    task: TrainTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(run.MATRIX_ROWS, "cpu", 128)
    assert run.flops_per_token(task) > 0
    assert run.matrix_rate(task) > 1e8
    assert peak_bytes(torch.device("cpu")) > 1 << 27
