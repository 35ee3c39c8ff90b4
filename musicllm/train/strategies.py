"""Precision and strategy: how numbers are stored, and how training is spread over devices.

Both are Lightning's; this module turns plain values into them. DeepSpeed is imported only when it
is asked for.
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


def strategy(
    kind: str,
    *,
    accelerator: str,
    zero_stage: int | None = None,
    offload_optimizer: bool = False,
    offload_parameters: bool = False,
) -> Any:
    """Return Lightning's strategy.

    Args:
        kind: single, ddp or deepspeed.
        accelerator: cpu or gpu.
        zero_stage: 1, 2 or 3 (ZeRO, arXiv 1910.02054), when `kind` is deepspeed.
        offload_optimizer: keep its state in CPU memory (DeepSpeed).
        offload_parameters: keep parameters in CPU memory (DeepSpeed, stage 3).

    Raises:
        NotAvailableError: DeepSpeed on a CPU.
    """
    if kind == "single":
        return "auto"
    if kind == "ddp":
        from lightning.pytorch.strategies import DDPStrategy

        return DDPStrategy()
    assert kind == "deepspeed", f"strategy {kind!r} passed the checks"
    if accelerator == "cpu":
        raise NotAvailableError(
            "strategy.kind=deepspeed needs a GPU here; write strategy=single or strategy=ddp"
        )
    from lightning.pytorch.strategies import DeepSpeedStrategy

    return DeepSpeedStrategy(
        config=deepspeed_config(
            zero_stage=zero_stage,
            offload_optimizer=offload_optimizer,
            offload_parameters=offload_parameters,
        )
    )


def deepspeed_config(
    *, zero_stage: int | None, offload_optimizer: bool, offload_parameters: bool
) -> dict[str, Any]:
    """Return DeepSpeed's configuration; batch sizes, clipping and precision come from Lightning."""
    zero: dict[str, Any] = {"stage": zero_stage, "contiguous_gradients": True, "overlap_comm": True}
    if offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    if offload_parameters:
        zero["offload_param"] = {"device": "cpu", "pin_memory": True}
    # the optimizer is ours, so DeepSpeed's own CPU Adam must not be required
    return {"zero_optimization": zero, "zero_force_ds_cpu_optimizer": False}
