from __future__ import annotations

import pytest
import torch

from musicllm.errors import NotAvailableError
from musicllm.train.strategies import deepspeed_config, precision, strategy


def test_a_named_precision_is_taken() -> None:
    assert precision("fp32", "cpu") == "32-true"
    assert precision("bf16", "cpu") == "bf16-mixed"
    assert precision("fp16", "gpu") == "16-mixed"


def test_auto_takes_what_the_profile_says() -> None:
    assert precision("auto", "gpu", supports_bf16=True) == "bf16-mixed"
    assert precision("auto", "gpu", supports_bf16=False) == "16-mixed"
    assert precision("auto", "cpu", supports_bf16=False) == "32-true"


@pytest.mark.parametrize(
    ("feature", "expected"), [("avx512_bf16", "bf16-mixed"), ("avx2", "32-true")]
)
def test_auto_asks_the_cpu(monkeypatch: pytest.MonkeyPatch, feature: str, expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True})
    assert precision("auto", "cpu") == expected


def test_auto_asks_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert precision("auto", "gpu") == "16-mixed"


def test_strategies() -> None:
    assert strategy("single", accelerator="cpu") == "auto"
    assert type(strategy("ddp", accelerator="cpu")).__name__ == "DDPStrategy"


def test_deepspeed_on_a_cpu_is_refused() -> None:
    with pytest.raises(NotAvailableError) as error:
        strategy("deepspeed", accelerator="cpu", zero_stage=2)
    assert str(error.value) == (
        "strategy.kind=deepspeed needs a GPU here; write strategy=single or strategy=ddp"
    )


def test_deepspeed_offloads_what_is_asked() -> None:
    plain = deepspeed_config(zero_stage=2, offload_optimizer=False, offload_parameters=False)
    assert plain["zero_optimization"]["stage"] == 2
    assert not {"offload_optimizer", "offload_param"} & plain["zero_optimization"].keys()
    both = deepspeed_config(zero_stage=3, offload_optimizer=True, offload_parameters=True)
    assert both["zero_optimization"]["offload_optimizer"]["device"] == "cpu"
    assert both["zero_optimization"]["offload_param"]["device"] == "cpu"
