"""Precision and strategy: how numbers are stored, and how training is spread over devices.

Both are Lightning's; this module turns plain values into them. DeepSpeed's own part is `zero`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from musicllm.errors import NotAvailableError
from musicllm.launch import ranks
from musicllm.schema import HardwareConfig
from musicllm.train.capabilities import probe
from musicllm.train.zero import LossScale, ZeroSpec, ZeroStrategy, engine_config

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Setting -> Lightning's name. The mixed ones keep trained weights in float32 under autocast."""

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


@dataclass(frozen=True)
class StrategySpec:
    """How training is spread.

    Attributes:
        kind: single, ddp or deepspeed.
        zero: what DeepSpeed spreads; None for other kinds.
    """

    kind: str
    zero: ZeroSpec | None = None


def trainer_options(
    spec: StrategySpec,
    *,
    accelerator: str,
    precision: str,
    rows_per_device: int,
    clip: float,
    folder: Path,
) -> dict[str, Any]:
    """Return what Lightning's Trainer is told about precision and strategy.

    Args:
        spec: the strategy.
        accelerator: cpu or gpu.
        precision: Lightning's name.
        rows_per_device: rows of a micro-batch.
        clip: L2 norm of the gradient; 0 is off.
        folder: the run folder, for `deepspeed.json`.
    """
    from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment

    # said, or Lightning would look for Slurm by itself, and requeue in its own way
    plugins = [TorchElasticEnvironment() if ranks.launched() else LightningEnvironment()]
    if spec.zero is None:
        plain = _ddp(accelerator) if spec.kind == "ddp" else "auto"
        return {"strategy": plain, "precision": precision, "plugins": plugins}
    config = engine_config(
        spec.zero,
        rows_per_device=rows_per_device,
        gradient_clip=clip,
        on_gpu=accelerator == "gpu",
    )
    scale = LossScale() if precision == "16-mixed" else None
    made = ZeroStrategy(spec.zero, config, scale, folder / "deepspeed.json")
    return {"strategy": made, "plugins": plugins}


def compute_dtype(precision: str) -> torch.dtype:
    """Return the type of matrix products under one of Lightning's names."""
    return AUTOCAST.get(precision, torch.float32)


def module_autocast(spec: StrategySpec, precision: str) -> torch.dtype | None:
    """Return the type in which the module must multiply, where Lightning's precision does not."""
    return AUTOCAST.get(precision) if spec.zero is not None else None


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
    if has_bf16(accelerator, supports_bf16):
        return PRECISIONS["bf16"]
    return PRECISIONS["fp16" if accelerator == "gpu" else "fp32"]


def has_bf16(accelerator: str, supports_bf16: bool | None) -> bool:
    """Tell whether a device computes in bfloat16 natively; what a profile says goes first."""
    return probe(accelerator).bf16 if supports_bf16 is None else supports_bf16


def expects_bf16(hardware: HardwareConfig) -> bool:
    """Tell the same of a machine's devices; a GPU that is not here is taken to have bfloat16."""
    try:
        return has_bf16(hardware.accelerator, hardware.supports_bf16)
    except NotAvailableError:
        return True


def _ddp(accelerator: str) -> Any:
    from lightning.pytorch.strategies import DDPStrategy

    return DDPStrategy(
        process_group_backend="gloo" if accelerator == "cpu" else "nccl",
        broadcast_buffers=False,  # rotary tables, the same everywhere
        gradient_as_bucket_view=True,
    )
