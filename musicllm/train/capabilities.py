"""Probes what the devices of this machine support, and refuses what they do not.

It looks at the device and at installed packages; it downloads and computes nothing. Requirements of
a model (the width of its heads, say) are checked by `musicllm.model.attention.choose`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec

import psutil
import torch

from musicllm import minimal
from musicllm.errors import ConfigError, NotAvailableError, Problem

FLASH_ATTENTION_2_NEEDS = (8, 0)
"""Compute capability of the first GPUs that FlashAttention-2 runs on: Ampere (its README)."""


@dataclass(frozen=True)
class Capabilities:
    """What a machine's devices support.

    Attributes:
        accelerator: cpu or gpu.
        device: name of the first one, for people.
        num_devices: of this accelerator.
        memory_gb: of one device, in 10^9 bytes.
        bf16: native bfloat16.
        fused_loss: liger-kernel's fused linear cross entropy.
        lacking: attentions for GPUs that this GPU or installation does not support -> reason.
    """

    accelerator: str
    device: str
    num_devices: int
    memory_gb: float
    bf16: bool
    fused_loss: bool
    lacking: Mapping[str, str] = field(default_factory=dict)


@cache
def probe(accelerator: str) -> Capabilities:
    """Return the capabilities of this machine's devices; cached.

    Args:
        accelerator: cpu or gpu.

    Raises:
        NotAvailableError: there is no GPU, or torch was built without CUDA.
    """
    return _gpu() if accelerator == "gpu" else _cpu()


def refuse_precision(setting: str, capabilities: Capabilities) -> None:
    """Make sure that the device supports a precision; float16 runs everywhere, on a CPU slowly.

    Args:
        setting: `hardware.precision`: fp32, bf16, fp16 or auto.
        capabilities: of the device.

    Raises:
        ConfigError: it does not.
    """
    if setting != "bf16" or capabilities.bf16:
        return
    rule = f"is not there on {capabilities.device}, which has no bfloat16"
    others = "fp16 or fp32" if capabilities.accelerator == "gpu" else "fp32"
    raise ConfigError([Problem("hardware.precision", setting, rule, f"use {others}, or auto")])


def _cpu() -> Capabilities:
    features = {} if minimal.is_on() else torch.cpu.get_capabilities()
    return Capabilities(
        accelerator="cpu",
        device="CPU",
        num_devices=1,
        memory_gb=psutil.virtual_memory().total / 1e9,
        bf16=any(features.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")),
        fused_loss=False,
    )


def _gpu() -> Capabilities:
    if not torch.cuda.is_available():
        built = "sees no GPU" if torch.version.cuda else "was built without CUDA"
        raise NotAvailableError(
            f"hardware.accelerator=gpu, but torch {torch.__version__} {built}; write hardware=cpu, "
            f"or install torch for your GPU (https://pytorch.org/get-started)"
        )
    properties = torch.cuda.get_device_properties(0)
    capability = (properties.major, properties.minor)
    return Capabilities(
        accelerator="gpu",
        device=properties.name,
        num_devices=torch.cuda.device_count(),
        memory_gb=properties.total_memory / 1e9,
        bf16=bool(torch.cuda.is_bf16_supported(including_emulation=False)),
        fused_loss=find_spec("liger_kernel") is not None and find_spec("triton") is not None,
        lacking=dict(_lacking_on_gpu(properties.name, capability)),
    )


def _lacking_on_gpu(device: str, capability: tuple[int, int]) -> Iterator[tuple[str, str]]:
    """Yield the attentions that a GPU does not support, and why."""
    old = capability < FLASH_ATTENTION_2_NEEDS
    number = f"{capability[0]}.{capability[1]}"
    too_old = f"it needs compute capability 8.0 (Ampere) or newer, and {device} has {number}"
    if old:
        yield "flash_attention_2", too_old
    elif find_spec("flash_attn") is None:
        yield "flash_attention_2", "the package flash-attn is not installed"
    if old:
        yield "varlen", too_old
    elif not has_varlen():
        yield "varlen", f"torch {torch.__version__} has no torch.nn.attention.varlen as of 2.11"
    if find_spec("triton") is None:
        yield "flex", "torch compiles it with triton, which is not installed"


def has_varlen() -> bool:
    """Return whether torch has variable-length attention with the arguments that we pass."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return False
    return {"window_size", "scale"} <= inspect.signature(varlen_attn).parameters.keys()
