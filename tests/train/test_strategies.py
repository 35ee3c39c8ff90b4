from __future__ import annotations

import pytest
import torch

from musicllm.errors import NotAvailableError
from musicllm.train.strategies import precision, strategy


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
    assert strategy("single") == "auto"
    assert type(strategy("ddp")).__name__ == "DDPStrategy"


def test_deepspeed_is_refused() -> None:
    with pytest.raises(NotAvailableError) as error:
        strategy("deepspeed")
    assert str(error.value) == (
        "strategy.kind=deepspeed plans, but training under DeepSpeed is not in this version of "
        "musicllm; write strategy=ddp, or strategy=single for one device"
    )
