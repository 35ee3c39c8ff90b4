"""Precision and strategy: how numbers are stored, and how training is spread over devices.

Both are Lightning's; this module turns plain values into them.
"""

from __future__ import annotations

from typing import Any

import torch

from musicllm.errors import NotAvailableError

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Setting -> Lightning's name. The mixed ones keep trained weights in float32 under autocast."""


def precision(name: str, accelerator: str, *, supports_bf16: bool | None = None) -> str:
    """Return Lightning's name of a precision.

    Args:
        name: fp32, bf16, fp16 or auto: the fastest that this device computes natively. fp16 is
            never chosen on a CPU, where it is slow.
        accelerator: cpu or gpu.
        supports_bf16: whether the device computes in bfloat16; None asks it.
    """
    if name != "auto":
        return PRECISIONS[name]
    if _supports_bf16(accelerator) if supports_bf16 is None else supports_bf16:
        return PRECISIONS["bf16"]
    return PRECISIONS["fp16" if accelerator == "gpu" else "fp32"]


def _supports_bf16(accelerator: str) -> bool:
    if accelerator == "gpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def strategy(kind: str) -> Any:
    """Return Lightning's strategy.

    Args:
        kind: single or ddp.

    Raises:
        NotAvailableError: deepspeed.
    """
    if kind == "deepspeed":
        raise NotAvailableError(
            "strategy.kind=deepspeed plans, but training under DeepSpeed is not in this version of "
            "musicllm; write strategy=ddp, or strategy=single for one device"
        )
    if kind == "single":
        return "auto"
    assert kind == "ddp", f"strategy {kind!r} passed the checks"
    from lightning.pytorch.strategies import DDPStrategy

    return DDPStrategy()
