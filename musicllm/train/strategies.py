"""Precision and strategy: dtypes, and how training is distributed over devices.

Turns settings into the arguments of Lightning's Trainer. DeepSpeed's part is `zero`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from musicllm.errors import NotAvailableError
from musicllm.launch import ranks
from musicllm.schema import HardwareConfig, StrategyConfig
from musicllm.train.capabilities import probe
from musicllm.train.zero import LossScale, ZeroStrategy, engine_config

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
"""Setting -> Lightning's name; with the mixed ones trained weights stay float32."""

AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def trainer_options(
    settings: StrategyConfig,
    *,
    accelerator: str,
    precision: str,
    rows_per_device: int,
    clip: float,
    folder: Path,
) -> dict[str, Any]:
    """Return the arguments of Lightning's Trainer for precision and strategy.

    Args:
        settings: of the strategy.
        accelerator: cpu or gpu.
        precision: Lightning's name.
        rows_per_device: rows of a micro-batch.
        clip: L2 norm of the gradient; 0 is off.
        folder: the run folder, for `deepspeed.json`.
    """
    from lightning.pytorch.plugins.environments import LightningEnvironment, TorchElasticEnvironment

    # explicit, or Lightning would detect Slurm and requeue in its own way
    plugins = [TorchElasticEnvironment() if ranks.launched() else LightningEnvironment()]
    if settings.zero_stage is None:
        plain = _ddp(accelerator) if settings.kind == "ddp" else "auto"
        if accelerator == "cpu" and precision == "16-mixed":
            plugins.append(_scaled_on_cpu())
            return {"strategy": plain, "plugins": plugins}
        return {"strategy": plain, "precision": precision, "plugins": plugins}
    config = engine_config(
        settings,
        rows_per_device=rows_per_device,
        gradient_clip=clip,
        on_gpu=accelerator == "gpu",
    )
    scale = LossScale() if precision == "16-mixed" else None
    strategy = ZeroStrategy(config, scale, folder / "deepspeed.json")
    return {"strategy": strategy, "plugins": plugins}


def compute_dtype(precision: str) -> torch.dtype:
    """Return the dtype of matrix products under one of Lightning's names of a precision."""
    return AUTOCAST.get(precision, torch.float32)


def module_autocast(settings: StrategyConfig, precision: str) -> torch.dtype | None:
    """Return the dtype of the module's own autocast, or None where Lightning applies autocast."""
    return AUTOCAST.get(precision) if settings.zero_stage is not None else None


def precision(name: str, accelerator: str, *, supports_bf16: bool | None = None) -> str:
    """Return Lightning's name of a precision.

    Args:
        name: fp32, bf16, fp16 or auto: the fastest that this device supports natively. fp16 is
            never chosen on a CPU, where it is slow.
        accelerator: cpu or gpu.
        supports_bf16: whether the device supports bfloat16; None probes it.
    """
    if name != "auto":
        return PRECISIONS[name]
    if has_bf16(accelerator, supports_bf16):
        return PRECISIONS["bf16"]
    return PRECISIONS["fp16" if accelerator == "gpu" else "fp32"]


def has_bf16(accelerator: str, supports_bf16: bool | None) -> bool:
    """Return whether a device supports bfloat16 natively; the hardware profile takes precedence."""
    return probe(accelerator).bf16 if supports_bf16 is None else supports_bf16


def expects_bf16(hardware: HardwareConfig) -> bool:
    """Return whether a profile's devices support bfloat16; a GPU that is not here counts as so."""
    try:
        return has_bf16(hardware.accelerator, hardware.supports_bf16)
    except NotAvailableError:
        return True


def _scaled_on_cpu() -> Any:
    """Return autocast to float16 with a loss scale; named alone, Lightning makes it bfloat16."""
    from lightning.pytorch.plugins.precision import MixedPrecision

    return MixedPrecision("16-mixed", device="cpu")


def _ddp(accelerator: str) -> Any:
    from lightning.pytorch.strategies import DDPStrategy

    return DDPStrategy(
        process_group_backend="gloo" if accelerator == "cpu" else "nccl",
        broadcast_buffers=False,  # rotary tables, the same everywhere
        gradient_as_bucket_view=True,
    )
