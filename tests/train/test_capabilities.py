from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest
import torch

from musicllm import minimal
from musicllm.errors import ConfigError, NotAvailableError
from musicllm.train import capabilities
from musicllm.train.capabilities import Capabilities, probe, refuse_precision

VOLTA = SimpleNamespace(name="Tesla V100", major=7, minor=0, total_memory=32e9)
HOPPER = SimpleNamespace(name="H100", major=9, minor=0, total_memory=80e9)


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    probe.cache_clear()
    yield
    probe.cache_clear()


def give(
    monkeypatch: pytest.MonkeyPatch, properties: SimpleNamespace, *, bf16: bool, packages: set[str]
) -> Capabilities:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: bf16)
    monkeypatch.setattr(capabilities, "find_spec", lambda name: name if name in packages else None)
    return probe("gpu")


@pytest.mark.parametrize(("feature", "bf16"), [("avx512_bf16", True), ("avx2", False)])
def test_a_cpu_is_asked_for_its_instructions(
    monkeypatch: pytest.MonkeyPatch, feature: str, bf16: bool
) -> None:
    monkeypatch.setattr(minimal, "is_on", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {feature: True})
    result = probe("cpu")
    assert (result.device, result.num_devices, result.bf16) == ("CPU", 1, bf16)
    assert result.memory_gb > 0.5
    assert not result.fused_loss


def test_a_volta_runs_neither_flash_attention_nor_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    result = give(monkeypatch, VOLTA, bf16=False, packages={"triton", "flash_attn", "liger_kernel"})
    reason = "it needs compute capability 8.0 (Ampere) or newer, and Tesla V100 has 7.0"
    assert result.lacking == {"flash_attention_2": reason, "varlen": reason}
    assert (result.num_devices, result.memory_gb, result.fused_loss) == (8, 32.0, True)


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", None)
    result = give(monkeypatch, HOPPER, bf16=True, packages=set())
    assert result.lacking == {
        "flash_attention_2": "the package flash-attn is not installed",
        "varlen": f"torch {torch.__version__} has no torch.nn.attention.varlen as of 2.11",
        "flex": "torch compiles it with triton, which is not installed",
    }
    assert not result.fused_loss


def test_an_older_form_of_varlen_attention_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert capabilities.has_varlen()
    older = ModuleType("varlen")
    older.varlen_attn = lambda query, is_causal: (query, is_causal)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.nn.attention.varlen", older)
    assert not capabilities.has_varlen()


def test_without_a_gpu_it_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(NotAvailableError, match=r"hardware\.accelerator=gpu, but torch .* write "):
        probe("gpu")


def test_a_precision_that_the_device_lacks_is_refused() -> None:
    volta = Capabilities("gpu", "Tesla V100", 1, 32.0, False, False)
    with pytest.raises(ConfigError) as error:
        refuse_precision("bf16", volta)
    assert str(error.value).splitlines()[1].strip() == (
        "hardware.precision=bf16 is not there on Tesla V100, which has no bfloat16; "
        "use fp16 or fp32, or auto"
    )
    refuse_precision("fp16", volta)
    refuse_precision("auto", volta)
    cpu = Capabilities("cpu", "CPU", 1, 8.0, False, False)
    with pytest.raises(ConfigError, match="on CPU, which has no bfloat16; use fp32, or auto"):
        refuse_precision("bf16", cpu)
    refuse_precision("fp16", cpu)
