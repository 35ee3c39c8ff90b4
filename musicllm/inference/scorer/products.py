"""Matrix products in float32 on a CPU by the faster of the two libraries that torch carries.

torch gives float32 products to MKL, which keeps its widest instructions to Intel's processors. On
an AMD EPYC with AVX-512 oneDNN is twice as fast (docs/BENCHMARKS.md), with the weights where
they are and the same precision. GPUs, other dtypes and quantized layers are left alone. The
operator is private: torch has no public way to choose between the two libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

CPUINFO = Path("/proc/cpuinfo")


@contextmanager
def fast_products(model: nn.Module) -> Iterator[None]:
    """Let the linear layers of a model multiply by oneDNN inside the block, where that is faster.

    Nothing in the block may need gradients.
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    plain_layers = [layer for layer in layers if _is_plain(layer)] if _is_faster() else []
    for layer in plain_layers:
        layer.forward = partial(_forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in plain_layers:
            del layer.forward


@cache
def _is_faster() -> bool:
    """Tell whether this processor has AVX-512 that MKL does not use."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise") or not CPUINFO.exists():
        return False
    is_intel = "GenuineIntel" in CPUINFO.read_text(encoding="utf-8", errors="replace")
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and not is_intel


def _is_plain(layer: nn.Linear) -> bool:
    """Tell whether a layer is torch's own, in float32 on the CPU, and untouched by others."""
    return (
        type(layer) is nn.Linear
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
        and "forward" not in vars(layer)
    )


def _forward(layer: nn.Linear, inputs: Tensor) -> Tensor:
    if inputs.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return functional.linear(inputs, layer.weight, layer.bias)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(
        inputs, layer.weight, layer.bias, "none", [], ""
    )
    return product
