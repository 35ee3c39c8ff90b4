from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from musicllm.errors import StageError
from musicllm.train.callbacks.loss_scale import SkippedSteps, loss_scale
from musicllm.train.zero import LossScale


def trainer(plugin: Any) -> Any:
    return SimpleNamespace(precision_plugin=plugin)


def context(plugin: Any) -> Any:
    return SimpleNamespace(trainer=trainer(plugin), module=SimpleNamespace(start_step=0))


def test_the_scale_is_found_where_the_strategy_keeps_it() -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    assert loss_scale(trainer(SimpleNamespace(scaler=scaler))) == 1024.0
    assert loss_scale(trainer(SimpleNamespace(loss_scale=LossScale(512.0)))) == 512.0
    assert loss_scale(trainer(SimpleNamespace(scaler=None))) is None
    assert loss_scale(trainer(SimpleNamespace(loss_scale=None))) is None
    assert loss_scale(trainer(SimpleNamespace())) is None


def watch(max_in_a_row: int, overflows: list[bool]) -> SkippedSteps:
    """Let a scale go through steps that do or do not fit into fp16."""
    scale = LossScale(2.0**16)
    run = context(SimpleNamespace(loss_scale=scale))
    skipped = SkippedSteps(max_in_a_row=max_in_a_row)
    skipped.before_step(run, 0)
    for step, overflow in enumerate(overflows, start=1):
        scale.update(overflow=overflow)
        skipped.after_step(run, step, is_last=False)
    return skipped


def test_skipped_steps_are_counted_from_line_to_line() -> None:
    skipped = watch(2, [True, True, False, True, False])
    assert skipped.values() == {"train/loss_scale": 2.0**13, "train/skipped_steps": 3.0}
    assert skipped.values() == {"train/loss_scale": 2.0**13, "train/skipped_steps": 0.0}


def test_too_many_in_a_row_stop_the_run_with_the_reason() -> None:
    with pytest.raises(StageError) as error:
        watch(2, [False, True, True, True])
    assert str(error.value) == (
        "the last 3 steps up to step 4 changed nothing: their gradients do not fit into fp16, "
        "with a loss scale that has come down to 8192; use hardware.precision=bf16 where the "
        "device has it or fp32, or a lower optimizer.lr and a longer warm-up; "
        "callbacks.max_skipped_steps=2 is how many are allowed in a row"
    )


def test_without_a_scale_nothing_is_said() -> None:
    skipped = SkippedSteps(max_in_a_row=0)
    run = context(SimpleNamespace())
    skipped.before_step(run, 0)
    skipped.after_step(run, 1, is_last=False)
    assert skipped.values() == {}
