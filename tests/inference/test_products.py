"""Products by oneDNN are those of torch, and layers come back as they were."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from musicllm.inference.scorer import products


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(48, 96)
        self.second = nn.Linear(96, 8, bias=False)
        self.third = nn.Linear(8, 8, dtype=torch.bfloat16)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.third(self.second(self.first(inputs)).bfloat16())


@pytest.fixture
def model() -> Layers:
    torch.manual_seed(0)
    return Layers()


@pytest.mark.parametrize("is_faster", [True, False])
def test_products_are_the_same_and_the_layers_as_they_were(
    model: Layers, monkeypatch: pytest.MonkeyPatch, is_faster: bool
) -> None:
    monkeypatch.setattr(products, "_is_faster", lambda: is_faster)
    inputs = torch.randn(3, 5, 48)
    with torch.no_grad():
        expected = model.second(model.first(inputs))
        with products.fast_products(model):
            assert ("forward" in vars(model.first)) == is_faster
            assert "forward" not in vars(model.third)
            assert torch.allclose(model.second(model.first(inputs)), expected, atol=1e-5)
            with torch.autocast("cpu", torch.bfloat16):
                assert model.first(inputs).dtype == torch.bfloat16
            model(inputs)
    assert not any("forward" in vars(module) for module in model.modules())


def test_layers_come_back_after_an_error(model: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_is_faster", lambda: True)
    with pytest.raises(RuntimeError), torch.no_grad(), products.fast_products(model):
        model.first(torch.randn(3, 7))
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize(
    ("vendor", "capability", "is_used"),
    [
        ("AuthenticAMD", "AVX512", True),
        ("GenuineIntel", "AVX512", False),
        ("AuthenticAMD", "AVX2", False),
    ],
)
def test_only_where_mkl_leaves_instructions_unused(
    vendor: str, capability: str, is_used: bool, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    products._is_faster.cache_clear()
    monkeypatch.setattr(products, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(f"vendor_id : {vendor}\n")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert products._is_faster() == is_used
    products._is_faster.cache_clear()
