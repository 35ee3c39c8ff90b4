from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from musicllm.schema import StrategyConfig
from musicllm.train import strategies
from musicllm.train.capabilities import Capabilities
from musicllm.train.strategies import module_autocast, precision, trainer_options

SINGLE = StrategyConfig("single", "single", None, False, False)
DDP = StrategyConfig("ddp", "ddp", None, False, False)


def test_a_named_precision_is_taken() -> None:
    assert precision("fp32", "cpu") == "32-true"
    assert precision("bf16", "cpu") == "bf16-mixed"
    assert precision("fp16", "gpu") == "16-mixed"


def test_auto_takes_what_the_profile_says() -> None:
    assert precision("auto", "gpu", supports_bf16=True) == "bf16-mixed"
    assert precision("auto", "gpu", supports_bf16=False) == "16-mixed"
    assert precision("auto", "cpu", supports_bf16=False) == "32-true"


@pytest.mark.parametrize(("bf16", "expected"), [(True, "bf16-mixed"), (False, "16-mixed")])
def test_auto_asks_the_device(monkeypatch: pytest.MonkeyPatch, bf16: bool, expected: str) -> None:
    device = Capabilities("gpu", "a GPU", 1, 32.0, bf16, False)
    monkeypatch.setattr(strategies, "probe", lambda _: device)
    assert precision("auto", "gpu") == expected


def test_a_single_device_needs_nothing(tmp_path: Path) -> None:
    arguments = options(SINGLE, tmp_path, accelerator="gpu")
    assert (arguments["strategy"], arguments["precision"]) == ("auto", "16-mixed")
    assert len(arguments["plugins"]) == 1, "the environment"


def test_float16_on_a_cpu_is_float16_with_a_loss_scale(tmp_path: Path) -> None:
    arguments = options(SINGLE, tmp_path)
    assert "precision" not in arguments, "which Lightning would make bfloat16"
    mixed = arguments["plugins"][-1]
    assert mixed.scaler.get_scale() == 2.0**16
    with mixed.forward_context():
        assert torch.nn.functional.linear(torch.ones(1, 2), torch.ones(3, 2)).dtype == torch.float16


def test_ddp_speaks_gloo_on_cpus(tmp_path: Path) -> None:
    arguments = options(DDP, tmp_path)
    assert type(arguments["strategy"]).__name__ == "DDPStrategy"
    assert arguments["strategy"].process_group_backend == "gloo"


def test_deepspeed_scales_the_loss_of_fp16_by_itself(tmp_path: Path) -> None:
    spec = StrategyConfig("zero2", "deepspeed", 2, False, False)
    arguments = options(spec, tmp_path)
    assert "precision" not in arguments
    assert arguments["strategy"].precision_plugin.loss_scale.value == 2.0**16
    assert module_autocast(spec, "16-mixed") == torch.float16
    assert module_autocast(spec, "32-true") is None
    assert module_autocast(DDP, "16-mixed") is None


def options(spec: StrategyConfig, folder: Path, accelerator: str = "cpu") -> dict[str, Any]:
    return trainer_options(
        spec, accelerator=accelerator, precision="16-mixed", rows_per_device=1, clip=1.0,
        folder=folder,
    )  # fmt: skip
