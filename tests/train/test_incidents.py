from __future__ import annotations

import dataclasses
import json
import math
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from musicllm.errors import StageError
from musicllm.model.adapters import trained
from musicllm.train import checkpoints, metrics
from musicllm.train.callbacks import FitContext
from musicllm.train.callbacks.incidents import Incidents, RollBack, fault
from musicllm.train.fit import TrainingRun
from musicllm.train.interruption import REQUEUE_EXIT_CODE
from musicllm.train.module import CausalLMModule
from musicllm.train.records import Records, left_out_steps
from tests.train.conftest import CALLBACKS

MakeRun = Callable[..., TrainingRun]


class StopTrainingError(Exception):
    """Ends a training in a test."""


def policy(on_bad_loss: str, **changes: Any) -> dict[str, Any]:
    """Return settings of `callbacks`."""
    return {"on_bad_loss": on_bad_loss, "loss_spike_window": 3, **changes}


def spoil(monkeypatch: pytest.MonkeyPatch, steps: Sequence[int], factor: float = math.nan) -> None:
    """Multiply the losses of some steps, which are counted from 1."""
    own = CausalLMModule.training_step

    def training_step(module: CausalLMModule, batch: Any, batch_idx: int) -> Tensor:
        loss = own(module, batch, batch_idx)
        step, micro_batch = divmod(batch_idx, module.accumulation)
        if int(module._steps[step]) + 1 not in steps or micro_batch < module.accumulation - 1:
            return loss
        module._step_totals = module._step_totals * torch.tensor([factor, 1.0])
        return loss * factor

    monkeypatch.setattr(CausalLMModule, "training_step", training_step)


def lines(run: TrainingRun) -> list[dict[str, Any]]:
    return [line for line in metrics.read(run.folder / metrics.NAME) if "train/loss" in line]


def record(run: TrainingRun, step: int) -> dict[str, Any]:
    path = run.folder / "incidents" / f"step-{step:08d}.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_what_counts_as_bad() -> None:
    plain = dataclasses.replace(CALLBACKS, loss_spike_window=3)
    watching = dataclasses.replace(plain, loss_spike_factor=2.0)
    assert fault(watching, 2.0, 1.0, [1.0, 1.1, 0.9]) is None
    assert fault(watching, 2.1, 1.0, [1.0, 1.1, 0.9]) == (
        "is 2.1, more than callbacks.loss_spike_factor=2 times the usual 1"
    )
    assert fault(watching, 2.1, 1.0, [9.0, 1.0, 1.1, 0.9]) is not None, "the last three count"
    assert fault(watching, 99.0, 1.0, [1.0, 1.0]) is None, "too few to know what is usual"
    assert fault(plain, 99.0, 1.0, [1.0] * 9) is None
    assert fault(plain, math.nan, 1.0, []) == "is nan"
    assert fault(plain, math.inf, 1.0, []) == "is inf"
    assert fault(plain, 1.25, math.nan, []) == "is 1.25, but the norm of its gradient is nan"


def test_stop_names_the_rows_and_saves_nothing_of_the_step(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, [3])
    run = make_run(checkpoint_every_steps=1, **policy("stop"), source_names=("music", "text"))
    with pytest.raises(StageError) as error:
        run.fit()
    path = run.folder / "incidents" / "step-00000003.json"
    assert str(error.value) == (
        f"the loss of step 3 is nan; its rows of the training split are listed in {path}; a "
        f"lower optimizer.lr, a longer warm-up, or bf16 instead of fp16 usually helps, and "
        f"callbacks.on_bad_loss=roll_back, in a run of its own, leaves these rows out"
    )
    written = record(run, 3)
    rows = [int(row) for row in run._batches(0, ()).rows_of_step(2)]
    store = run.train_rows
    assert written["rows"] == [
        {"row": row, "sources": ["music"], "num_supervised": int(store.num_supervised[row])}
        for row in rows
    ]
    assert written["loss"] == "nan"
    assert written["policy"] == "stop"
    assert [line["step"] for line in written["metrics"]] == [1, 2, 3]
    assert written["metrics"][-1]["train/loss"] is None
    newest = checkpoints.newest(run.folder, run.identity)
    assert newest is not None
    assert newest.step == 2
    assert left_out_steps(run.folder) == frozenset()


def test_skip_leaves_weights_and_optimizer_as_they_were(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[int, list[Tensor]] = {}
    own = CausalLMModule.finish_step

    def finish_step(module: CausalLMModule, step: int) -> Any:
        state = module.trainer.optimizers[0].state
        numbers = [value for each in state.values() for value in each.values()]
        weights = list(trained(module.model).values())
        seen[step] = [torch.as_tensor(number).clone() for number in [*weights, *numbers]]
        return own(module, step)

    monkeypatch.setattr(CausalLMModule, "finish_step", finish_step)
    spoil(monkeypatch, [3])
    run = make_run(max_steps=4, **policy("skip"))
    run.fit()
    assert all(map(torch.equal, seen[2], seen[3]))
    assert not all(map(torch.equal, seen[3], seen[4]))
    assert [line["train/loss"] is None for line in lines(run)] == [False, False, True, False]
    path = run.folder / "incidents" / "step-00000003.json"
    assert capsys.readouterr().err == (
        f"the loss of step 3 is nan; it changes nothing; its rows are listed in {path}\n"
    )


def test_a_gradient_that_is_not_finite_is_skipped_too(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = CausalLMModule.training_step

    def training_step(module: CausalLMModule, batch: Any, batch_idx: int) -> Tensor:
        loss = own(module, batch, batch_idx)
        return loss * math.inf if batch_idx == 2 else loss  # the first half of step 2

    monkeypatch.setattr(CausalLMModule, "training_step", training_step)
    run = make_run(max_steps=3, **policy("skip"))
    run.fit()
    assert record(run, 2)["what"].endswith("but the norm of its gradient is nan")
    assert all(bool(weight.isfinite().all()) for weight in trained(run.model).values())


def test_roll_back_asks_for_it_and_remembers_the_step(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, [5])
    run = make_run(**policy("roll_back"), validate_every_steps=100)
    asked: list[int] = []
    own = Incidents._act

    def act(watch: Incidents, context: FitContext, step: int, loss: float, what: str) -> None:
        try:
            own(watch, context, step, loss, what)
        except RollBack as request:
            asked.append(request.step)
            raise

    monkeypatch.setattr(Incidents, "_act", act)
    with suppress(RollBack):
        run.fit()
    assert asked == [5]
    assert left_out_steps(run.folder) == {5}
    assert record(run, 5)["policy"] == "roll_back"


def test_a_last_step_that_is_left_out_ends_the_run(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, [10])
    changes = policy("roll_back") | {"checkpoint_every_steps": 9}
    with pytest.raises(RollBack):
        make_run(**changes).fit()
    result = make_run(**changes).fit()
    assert (result.start_step, result.num_steps, result.work.num_steps) == (9, 10, 0)
    assert result.train_loss is not None


def test_a_signal_outlives_going_back(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(monkeypatch, [5])
    own = Incidents._record

    def record_and_stop(watch: Incidents, *args: Any) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return own(watch, *args)

    monkeypatch.setattr(Incidents, "_record", record_and_stop)
    with pytest.raises(SystemExit) as stop:
        make_run(**policy("roll_back")).fit()
    assert stop.value.code == REQUEUE_EXIT_CODE
    assert "stopped before going back; " in " ".join(capsys.readouterr().err.split())


def test_a_spike_is_measured_against_the_lines_of_earlier_starts_too(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(**policy("stop"))
    for step, loss in enumerate([9.0, 1.0, math.nan, 2.0, 3.0], start=1):
        metrics.append(run.folder / metrics.NAME, step, {"train/loss": loss})
    metrics.append(run.folder / metrics.NAME, 5, {"val/loss": 7.0})
    seen: list[list[float]] = []
    own = Incidents.start

    def start(watch: Incidents, context: FitContext) -> None:
        own(watch, context)
        seen.append(list(watch._logged))
        raise StopTrainingError

    monkeypatch.setattr(metrics, "truncate", lambda *_: None)
    monkeypatch.setattr(Incidents, "start", start)
    with pytest.raises(StopTrainingError):
        run.fit()
    assert seen == [[1.0, 2.0, 3.0]]


def test_a_spike_stops_the_run(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    spoil(monkeypatch, [2, 6], factor=5.0)
    run = make_run(**policy("stop", loss_spike_factor=2.0))
    with pytest.raises(StageError, match=r"^the loss of step 6 is 1\d\.\d+, more than callbacks"):
        run.fit()
    assert record(run, 6)["loss"] == pytest.approx(lines(run)[-1]["train/loss"])
    assert not (run.folder / "incidents" / "step-00000002.json").exists(), "too early to know"


def test_too_many_stop_the_run_whatever_the_policy(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, [2, 4, 5])
    run = make_run(**policy("skip", max_incidents=2))
    with pytest.raises(StageError) as error:
        run.fit()
    assert str(error.value) == (
        f"the loss of step 5 is nan; that is incident 3 of this run, and "
        f"callbacks.max_incidents=2 are allowed; {run.folder / 'incidents'} lists the rows of "
        f"each; a lower optimizer.lr, a longer warm-up, or bf16 instead of fp16 usually helps"
    )


def test_a_step_that_is_taken_again_is_one_incident(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, [2])
    run = make_run(max_steps=3, **policy("skip", max_incidents=1))
    run.fit()
    for path in (run.folder / "checkpoints").iterdir():
        path.rename(run.folder / f"gone-{path.name}")
    again = make_run(max_steps=3, **policy("skip", max_incidents=1))
    assert again.fit().start_step == 0


def test_where_reading_costs_waiting_a_loss_is_judged_a_step_late_but_before_a_save(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musicllm.train.readings.Reading.is_free", False)
    spoil(monkeypatch, [4])
    late = make_run(**policy("stop"), checkpoint_every_steps=3)
    with pytest.raises(StageError, match="the loss of step 4 is nan"):
        late.fit()
    assert [line["step"] for line in lines(late)] == [1, 2, 3, 4, 5]
    in_time = make_run(**policy("stop"), checkpoint_every_steps=4, folder="in-time")
    with pytest.raises(StageError, match="the loss of step 4 is nan"):
        in_time.fit()
    assert checkpoints.newest(in_time.folder, in_time.identity) is None


def test_steps_that_are_left_out_add_up(tmp_path: Path) -> None:
    assert left_out_steps(tmp_path) == frozenset()
    for step in (7, 3, 7):
        Records(tmp_path, None, ()).leave_out(step)  # type: ignore[arg-type]
    assert json.loads((tmp_path / "left-out-steps.json").read_text()) == {"steps": [3, 7]}
    assert left_out_steps(tmp_path) == {3, 7}
