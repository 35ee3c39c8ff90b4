from __future__ import annotations

import pytest

from musicllm.errors import NotAvailableError
from musicllm.train import strategies
from musicllm.train.capabilities import Capabilities
from musicllm.train.strategies import precision, strategy


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
    device = Capabilities("gpu", "a GPU", 1, 32.0, bf16, True, False)
    monkeypatch.setattr(strategies, "probe", lambda _: device)
    assert precision("auto", "gpu") == expected


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
