"""Benchmarks during training: when, on what, what is logged, and that training does not notice."""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from musicllm.data.rows import RowStore
from musicllm.errors import StageError
from musicllm.launch import ranks
from musicllm.model.adapters import causal_model, trained
from musicllm.train import loss, metrics
from musicllm.train.between_steps import undisturbed
from musicllm.train.compiling import compile_layers
from musicllm.train.evaluation import SECONDS, Evaluation, measured
from musicllm.train.fit import TrainingRun
from musicllm.train.loss import sum_nll
from tests.ranks import Ranks
from tests.train import spread
from tests.train.conftest import CSV, LORA, tiny_model, training_run
from tests.train.spread import How

MakeRun = Callable[..., TrainingRun]

pytestmark = [  # of torch's compiler, as in test_compiling.py
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*not a leaf Tensor is being accessed.*:UserWarning"),
]


class Quiz:
    """Asks the model something, and does to the process what measuring might do."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def __call__(self, model: PreTrainedModel) -> dict[str, float | None]:
        assert isinstance(model, PreTrainedModel)
        assert not any(part.training for part in model.modules())
        assert not torch.is_grad_enabled()
        with torch.inference_mode():
            logits = model(torch.arange(7)[None] + 1, use_cache=True).logits
        self.found.append(float(logits.float().log_softmax(-1)[0, -1, 0]))
        seed_all(1)
        return {"accuracy": self.found[-1], "accuracy_low": None, "num_questions": 7}


def with_quiz(run: TrainingRun, every: int) -> tuple[TrainingRun, Quiz]:
    quiz = Quiz()
    return dataclasses.replace(run, evaluation=Evaluation(every, {"quiz": quiz})), quiz


def lines(run: TrainingRun) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in line.items() if not name.startswith("perf/")}
        for line in metrics.read(run.folder / metrics.NAME)
    ]


def assert_equal_weights(one: nn.Module, other: nn.Module) -> None:
    theirs = trained(other)
    for name, weight in trained(one).items():
        assert torch.equal(weight, theirs[name]), name


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_does_not_notice(make_run: MakeRun, precision: str) -> None:
    machine = {"precision": precision}
    plain = make_run(LORA, folder="plain", machine=machine, max_steps=5)
    plain.fit()
    run, quiz = with_quiz(make_run(LORA, machine=machine, max_steps=5), every=2)
    run.fit()
    assert len(set(quiz.found)) == 4, "the start, every second step and the last, all different"
    assert [line for line in lines(run) if "eval/quiz/accuracy" not in line] == lines(plain)
    assert_equal_weights(run.model, plain.model)


def test_what_was_measured_is_logged(make_run: MakeRun) -> None:
    run, quiz = with_quiz(make_run(max_steps=5, loggers=(CSV,)), every=2)
    run.fit()
    written = [line for line in lines(run) if "eval/quiz/accuracy" in line]
    assert written == [
        {"step": step, "eval/quiz/accuracy": value, "eval/quiz/num_questions": 7}
        for step, value in zip([0, 2, 4, 5], quiz.found, strict=True)
    ]
    (table,) = run.folder.rglob("metrics.csv")
    assert "eval/quiz/accuracy" in table.read_text().splitlines()[0]


def test_time_of_measuring_is_written_and_no_time_of_steps(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = with_quiz(make_run(max_steps=4), every=2)
    clock = [0.0]
    monkeypatch.setattr("musicllm.train.speed.time.perf_counter", lambda: clock[0])
    own = Quiz.__call__

    def slow(self: Quiz, model: PreTrainedModel) -> dict[str, float | None]:
        clock[0] += 1000.0
        return own(self, model)

    def step_of_a_second(*_: Any) -> None:
        clock[0] += 1.0

    monkeypatch.setattr(Quiz, "__call__", slow)
    monkeypatch.setattr(
        "musicllm.train.callbacks.incidents.Incidents.before_update", step_of_a_second
    )
    assert run.fit().work.seconds == pytest.approx(4.0)
    took = [line[SECONDS] for line in metrics.read(run.folder / metrics.NAME) if SECONDS in line]
    assert took == [1000.0] * 3


def test_a_run_that_was_lost_measures_each_step_once(make_run: MakeRun) -> None:
    whole, _ = with_quiz(make_run(folder="whole", max_steps=6), every=2)
    whole.fit()
    run, quiz = with_quiz(make_run(max_steps=6), every=2)
    with pytest.raises(spread.LostError):
        dataclasses.replace(run, callbacks=(spread.Crash(11),)).fit()  # in the sixth step
    assert len(quiz.found) == 3, "of the start and of steps 2 and 4; saved is step 3"
    again, _ = with_quiz(make_run(max_steps=6), every=2)
    again.fit()
    assert lines(again) == lines(whole)


def test_a_run_that_goes_back_to_its_start_keeps_what_it_found_there(make_run: MakeRun) -> None:
    run, _ = with_quiz(make_run(max_steps=2), every=2)
    run.fit()
    metrics.truncate(run.folder / metrics.NAME, 0)
    for saved in (run.folder / "checkpoints").iterdir():
        saved.rename(run.folder / f"gone-{saved.name}")
    again, quiz = with_quiz(make_run(max_steps=2), every=2)
    again.fit()
    assert len(quiz.found) == 1
    assert [line["step"] for line in lines(again) if "eval/quiz/accuracy" in line] == [0, 2]


def test_a_broken_model_is_not_asked(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def nan(*arguments: Any, **options: Any) -> torch.Tensor:
        return sum_nll(*arguments, **options) * math.nan

    monkeypatch.setattr(loss, "sum_nll", nan)
    run, quiz = with_quiz(make_run(), every=1)
    with pytest.raises(StageError, match="the loss of step 1 is nan"):
        run.fit()
    assert len(quiz.found) == 1, "of the start only"


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def draw_all() -> list[float]:
    return [random.random(), np.random.random(), float(torch.randn(()))]


def test_all_benchmarks_are_named_and_random_states_come_back() -> None:
    model = tiny_model(LORA)
    seed_all(5)
    expected = draw_all()
    seed_all(5)
    found = measured(model, {"one": Quiz(), "other": Quiz()})
    assert draw_all() == expected
    assert found.keys() == {
        "eval/one/accuracy", "eval/one/num_questions", "eval/other/accuracy",
        "eval/other/num_questions", SECONDS,
    }  # fmt: skip
    assert all(part.training for part in model.modules())


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_layers_run_as_written_and_nothing_is_compiled_for_them() -> None:
    compiled = tiny_model()
    graphs: list[object] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph

    for layer in causal_model(compiled).get_decoder().layers:
        layer.compile(dynamic=True, backend=backend)
    with undisturbed(compiled):
        compiled(torch.arange(5)[None])
    assert not graphs
    compiled(torch.arange(5)[None])
    assert graphs


@pytest.fixture(scope="module")
def two() -> Iterator[Ranks]:
    ranks = Ranks(2)
    yield ranks
    ranks.stop()


def train_with_quiz(place: Path, name: str, how: How, every: int | None) -> tuple[int, Any]:
    """Train on this rank, and return how often it was asked, its log and what it saved."""
    quiz = Quiz()
    run = training_run(
        place,
        RowStore(place / "rows"),
        RowStore(place / "validation"),
        folder=name,
        model=tiny_model(LORA, attention_dropout=how.dropout),
        plan={"rows_per_step": 8, "max_rows_per_device": how.rows, "num_devices": how.world},
        machine={
            "devices_per_node": how.world,
            "strategy": how.strategy(),
            "precision": how.precision,
        },
    )
    if every is not None:
        measures = {"quiz": quiz} if ranks.is_main() else {}
        run = dataclasses.replace(run, evaluation=Evaluation(every, measures))
    run.fit()
    return len(quiz.found), (lines(run), spread.weights_of(place / name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        How("ddp", world=2, dropout=0.1),
        How("deepspeed", 1, world=2, dropout=0.1),
        How("deepspeed", 2, world=2, dropout=0.1, precision="bf16-mixed"),
    ],
    ids=lambda how: f"{how.kind}-{how.stage}",
)
def test_the_first_of_two_ranks_measures_and_neither_notices(
    two: Ranks, tmp_path: Path, how: How
) -> None:
    spread.write_corpus(tmp_path)
    (_, (expected, weights)), _ = two.run(train_with_quiz, tmp_path, "plain", how, None)
    (asked, (found, made)), (elsewhere, _) = two.run(train_with_quiz, tmp_path, "asked", how, 4)
    assert (asked, elsewhere) == (4, 0)
    assert [line for line in found if "eval/quiz/accuracy" not in line] == expected
    for name, weight in made.items():
        assert torch.equal(weight, weights[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("fresh_compiler")
def test_compiled_training_does_not_notice(make_run: MakeRun) -> None:
    runs = []
    for folder, every in (("plain", None), ("asked", 2)):
        torch._dynamo.reset()
        model = tiny_model()
        compile_layers(model, backend="aot_eager")
        run = make_run(folder=folder, model=model)
        run = run if every is None else with_quiz(run, every)[0]
        run.fit()
        runs.append(run)
    assert_equal_weights(runs[0].model, runs[1].model)
