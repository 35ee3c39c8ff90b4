from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from musicllm.model.adapters import trained
from musicllm.train import metrics
from musicllm.train.between_steps import evaluation_mode
from musicllm.train.fit import TrainingRun
from musicllm.train.tunes import SampleReport, SampleTune, read_tunes

MakeRun = Callable[..., TrainingRun]


class Writer:
    """Writes one tune a time, and does to the state of the process what writing would do."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.was_training: list[bool] = []

    def __call__(self, model: nn.Module, step: int, folder: Path | None) -> SampleReport:
        assert folder is not None
        self.steps.append(step)
        self.was_training.append(any(module.training for module in model.modules()))
        assert not torch.is_grad_enabled()
        torch.manual_seed(999)
        torch.randn(100)
        (folder / "001.svg").write_text("<svg/>")
        tune = SampleTune("X:1", f"X:1 of {step}", folder / "001.svg", None)
        return SampleReport({"music/parse_share": 0.5 + step / 100}, [tune])


def lines(run: TrainingRun) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if not name.startswith("perf/")}
        for line in metrics.read(run.folder / metrics.NAME)
    ]


def with_samples(run: TrainingRun) -> tuple[TrainingRun, Writer]:
    writer = Writer()
    object.__setattr__(run, "write_samples", writer)
    return run, writer


def test_training_does_not_notice(make_run: MakeRun) -> None:
    plain = make_run(folder="plain")
    plain.fit()
    run, writer = with_samples(make_run(samples_every_steps=4))
    run.fit()
    assert writer.steps == [4, 8, 10], "every fourth, and the last"
    assert writer.was_training == [False] * 3
    assert [line for line in lines(run) if "music/parse_share" not in line] == lines(plain)
    for name, weight in trained(run.model).items():
        assert torch.equal(weight, trained(plain.model)[name]), name


def test_what_was_measured_and_written_stays(make_run: MakeRun) -> None:
    run, _ = with_samples(make_run(samples_every_steps=4, max_steps=5))
    run.fit()
    measured = [line for line in lines(run) if "music/parse_share" in line]
    assert measured == [
        {"step": 4, "music/parse_share": 0.54}, {"step": 5, "music/parse_share": 0.55}
    ]  # fmt: skip
    first = run.folder / "samples" / "step-00000004"
    (step, tunes), (last, _) = read_tunes(run.folder)
    assert (step, last) == (4, 5)
    assert tunes == [SampleTune("X:1", "X:1 of 4", first / "001.svg", None)]


def test_time_of_writing_is_no_time_of_steps(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, writer = with_samples(make_run(samples_every_steps=2, max_steps=4))
    clock = [0.0]
    monkeypatch.setattr("musicllm.train.speed.time.perf_counter", lambda: clock[0])
    own = Writer.__call__

    def slow(self: Writer, *given: Any) -> SampleReport:
        clock[0] += 1000.0
        return own(self, *given)

    def step_of_a_second(*_: Any) -> None:
        clock[0] += 1.0

    monkeypatch.setattr(Writer, "__call__", slow)
    monkeypatch.setattr(
        "musicllm.train.callbacks.incidents.Incidents.before_update", step_of_a_second
    )
    assert run.fit().work.seconds == pytest.approx(4.0)
    assert writer.steps == [2, 4]


def test_without_a_writer_or_a_period_nothing_is_written(make_run: MakeRun) -> None:
    make_run(samples_every_steps=2, max_steps=2).fit()
    run, writer = with_samples(make_run(max_steps=2, folder="off"))
    run.fit()
    assert writer.steps == []
    assert not (run.folder / "samples").exists()


def test_a_step_that_is_taken_again_writes_into_an_empty_folder(make_run: MakeRun) -> None:
    run, _ = with_samples(make_run(samples_every_steps=4, max_steps=4))
    left = run.folder / "samples" / "step-00000004" / "009.svg"
    left.parent.mkdir(parents=True)
    left.write_text("of a start that came to nothing")
    run.fit()
    assert not left.exists()
    assert left.with_name("001.svg").exists()


def test_modes_of_single_modules_and_the_random_state_come_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Linear(1, 1))
    model[0].eval()
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    with evaluation_mode(model):
        assert [module.training for module in model.modules()] == [False] * 3
        torch.randn(50)
    assert [module.training for module in model.modules()] == [True, False, True]
    assert torch.equal(torch.randn(3), expected)
