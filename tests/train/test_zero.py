from __future__ import annotations

from types import SimpleNamespace

import pytest

from musicllm.schema import StrategyConfig
from musicllm.train.zero import LossScale, OwnDtypes, engine_config


def test_a_loss_scale_halves_and_doubles() -> None:
    scale = LossScale(value=8.0, period=3)
    scale.update(overflow=True)
    assert (scale.value, scale.good_steps) == (4.0, 0)
    for _ in range(2):
        scale.update(overflow=False)
    assert (scale.value, scale.good_steps) == (4.0, 2)
    scale.update(overflow=True)
    assert (scale.value, scale.good_steps) == (2.0, 0)
    for _ in range(3):
        scale.update(overflow=False)
    assert (scale.value, scale.good_steps) == (4.0, 0)


@pytest.mark.parametrize("on_gpu", [True, False])
def test_the_engine_is_told_what_we_know(on_gpu: bool) -> None:
    spec = StrategyConfig("zero3", "deepspeed", 3, True, True)
    config = engine_config(spec, rows_per_device=4, gradient_clip=0.5, on_gpu=on_gpu)
    assert config["train_micro_batch_size_per_gpu"] == 4
    assert config["gradient_clipping"] == 0.5
    assert config["zero_optimization"]["stage"] == 3
    assert config["zero_optimization"]["overlap_comm"] is on_gpu
    in_memory = {"device": "cpu", "pin_memory": on_gpu}
    assert config["zero_optimization"]["offload_optimizer"] == in_memory
    assert config["zero_optimization"]["offload_param"] == in_memory
    assert not {"fp16", "bf16", "optimizer", "scheduler"} & config.keys()


def test_nothing_is_offloaded_unasked() -> None:
    spec = StrategyConfig("zero2", "deepspeed", 2, False, False)
    zero = engine_config(spec, rows_per_device=1, gradient_clip=0.0, on_gpu=True)
    assert not {"offload_optimizer", "offload_param"} & zero["zero_optimization"].keys()


def test_a_run_that_continues_scales_as_before() -> None:
    scales: list[float] = []
    types = OwnDtypes(LossScale(2.0**16))
    types.adopt(SimpleNamespace(override_loss_scale=scales.append))
    types.load_state_dict({"value": 1024.0, "good_steps": 7, "period": 2000})
    assert scales == [2.0**16, 1024.0]
    assert types.state_dict() == {"value": 1024.0, "good_steps": 7, "period": 2000}
