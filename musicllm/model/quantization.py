"""The frozen base in 4 bits for QLoRA: whether this machine can, and what to ask for.

The quantization itself is bitsandbytes' (extra `qlora`); nothing here imitates it.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch

from musicllm.errors import NotAvailableError


def nf4_options(compute_dtype: torch.dtype) -> dict[str, Any]:
    """Return what `from_pretrained` needs for 4-bit NormalFloat with double quantization.

    Source: QLoRA, arXiv 2305.14314, section 3.

    Args:
        compute_dtype: of the matrix products and of what is not quantized.

    Raises:
        NotAvailableError: bitsandbytes or a CUDA device is missing.
    """
    require_nf4()
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
    )
    return {"quantization_config": config, "device_map": {"": torch.cuda.current_device()}}


def require_nf4() -> None:
    """Raise what is missing for 4-bit weights.

    Raises:
        NotAvailableError: bitsandbytes or a CUDA device is missing.
    """
    if find_spec("bitsandbytes") is None:
        raise NotAvailableError(
            "adapter.quantization=nf4 needs bitsandbytes: pip install 'musicllm[qlora]'"
        )
    if not torch.cuda.is_available():
        raise NotAvailableError("adapter.quantization=nf4 needs a CUDA device, and there is none")
