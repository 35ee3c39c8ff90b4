"""4-bit quantization of the frozen base for QLoRA: options and availability.

The quantization itself is done by bitsandbytes (extra `qlora`).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from musicllm.errors import NotAvailableError


def nf4_options(compute_dtype: torch.dtype, accelerator: str) -> dict[str, Any]:
    """Return the options of `from_pretrained` for 4-bit NormalFloat with double quantization.

    Source: QLoRA, arXiv 2305.14314, section 3.

    Args:
        compute_dtype: of matrix products and of weights that are not quantized.
        accelerator: cpu or gpu; bitsandbytes computes on both.

    Raises:
        NotAvailableError: bitsandbytes is missing, or a GPU for `accelerator`.
    """
    if find_spec("bitsandbytes") is None:
        raise NotAvailableError(
            "adapter.quantization=nf4 needs bitsandbytes: pip install 'musicllm[qlora]'"
        )
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise NotAvailableError("hardware.accelerator=gpu needs a CUDA device, and there is none")
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )
    device = torch.cuda.current_device() if accelerator == "gpu" else "cpu"
    return {"quantization_config": config, "device_map": {"": device}}


def keep_differentiable(model: nn.Module) -> None:
    """Keep the layers of 4 bits from ever packing their weights for products without gradients.

    On a CPU with AVX-512 and bfloat16, bitsandbytes packs a layer for good at its first pass in
    evaluation mode. Products of packed weights have no gradient, so a training that went on after
    one, such as a validation, would not reach the layers below, without an error.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
