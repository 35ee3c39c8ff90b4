"""A matrix as it is after a base was loaded in 4 bits: quantized, and back.

The arithmetic is bitsandbytes' (extra `qlora`), which has it for the CPU too; which matrices it
touches is transformers'. Running a model in 4 bits is `quantization`'s.
"""

from __future__ import annotations

from importlib.util import find_spec

from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.quantizers.base import get_keys_to_not_convert

from musicllm.errors import NotAvailableError


def there_and_back(matrix: Tensor) -> Tensor:
    """Return a matrix with the values that 4-bit NormalFloat leaves, in its own type.

    Blocks of 64 and double quantization, as `quantization.nf4_options` asks for. About 3 s on a CPU
    core for 45 million numbers.

    Source: QLoRA, arXiv 2305.14314, section 3.

    Raises:
        NotAvailableError: bitsandbytes is missing.
    """
    if find_spec("bitsandbytes") is None:
        raise NotAvailableError(
            "merge.quantized_base=dequantize needs bitsandbytes: pip install 'musicllm[qlora]'; "
            "or write merge.quantized_base=full_precision"
        )
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(matrix, compress_statistics=True, quant_type="nf4")
    back: Tensor = dequantize_4bit(packed, state)
    return back


def quantized_names(model: PreTrainedModel) -> set[str]:
    """Return the weights that transformers quantizes: of all linear layers but the head."""
    spared = get_keys_to_not_convert(model)
    return {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name not in spared
    }
