"""Observers are called in one order, with the step and whether it is the last."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer

from musicllm.train import driver, fit
from musicllm.train.callbacks import FitContext, Observer
from musicllm.train.fit import TrainingRun
from musicllm.train.module import CausalLMModule


class Scribe(Observer):
    """Writes down how it is called."""

    def __init__(self, name: str, calls: list[tuple[object, ...]]) -> None:
        self.name = name
        self.calls = calls

    def start(self, context: FitContext) -> None:
        self.calls.append((self.name, "start", context.module.start_step))

    def before_step(self, context: FitContext, finished: int) -> None:
        self.calls.append((self.name, "before", finished, context.current_step))

    def before_update(self, context: FitContext) -> None:
        self.calls.append((self.name, "update", context.current_step))

    def after_step(self, context: FitContext, step: int, *, is_last: bool) -> None:
        reading = context.module.readings.newest
        assert reading is not None
        assert reading.step == step, "the step is finished"
        self.calls.append((self.name, "after", step, is_last))

    def after_validation(self, context: FitContext) -> None:
        self.calls.append((self.name, "validated", context.module.validation_loss > 0))

    def end(self, context: FitContext) -> None:
        self.calls.append((self.name, "end"))


class Theirs(Callback):
    """A callback of Lightning, as users have them."""

    def __init__(self, calls: list[tuple[object, ...]]) -> None:
        self.calls = calls

    def on_train_batch_end(self, *_: object) -> None:
        self.calls.append(("theirs", "micro-batch"))

    def on_train_end(self, _trainer: Trainer, _module: CausalLMModule) -> None:
        self.calls.append(("theirs", "end"))


def test_observers_are_called_in_order(
    make_run: Callable[..., TrainingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    both = [Scribe("a", calls), Scribe("b", calls)]
    monkeypatch.setattr(fit, "observers", lambda _: both)
    run = make_run(max_steps=2, validate_every_steps=9)  # a step has two micro-batches
    dataclasses.replace(run, callbacks=(Theirs(calls),)).fit()

    def each(*call: object) -> list[tuple[object, ...]]:
        return [("a", *call), ("b", *call)]

    micro_batch = ("theirs", "micro-batch")
    assert calls == [
        *each("start", 0),
        *each("before", 0, 1), micro_batch, *each("update", 1), *each("after", 1, False),
        micro_batch,
        *each("before", 1, 2), micro_batch, *each("update", 2), *each("after", 2, True),
        micro_batch,
        *each("validated", True),
        ("theirs", "end"), *each("end"),
    ]  # fmt: skip


def test_no_other_module_is_a_callback_of_lightning_or_asks_who_stopped() -> None:
    files = {
        path.name: path.read_text(encoding="utf-8")
        for path in Path(driver.__file__).parent.rglob("*.py")
    }
    assert [name for name, text in files.items() if "(Callback)" in text] == ["driver.py"]
    assert [name for name, text in files.items() if "should_stop" in text] == ["driver.py"]
