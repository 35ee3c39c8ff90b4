"""Quantizes matrices to 4 bits and back, to reproduce the base of QLoRA.

bitsandbytes (extra `qlora`) does this, also on a CPU; transformers decides which matrices.
For running a model in 4 bits see `quantization`.
"""

from __future__ import annotations

from importlib.util import find_spec

from torch import Tensor, nn
from transformers import Conv1D, PreTrainedModel
from transformers.quantizers.base import get_keys_to_not_convert

from musicllm.errors import NotAvailableError


def requantized(matrix: Tensor, *, transposed: bool) -> Tensor:
    """Return a matrix after quantization to 4-bit NormalFloat, in its own dtype.

    Blocks of 64 and double quantization, as in `quantization.nf4_options`. About 3 s on a CPU
    core for 45 million elements.

    Source: QLoRA, arXiv 2305.14314, section 3.

    Args:
        matrix: of a layer.
        transposed: it is stored as [inputs, outputs]; blocks go along the inputs.

    Raises:
        NotAvailableError: bitsandbytes is missing.
    """
    if find_spec("bitsandbytes") is None:
        raise NotAvailableError(
            "merge.quantized_base=dequantize needs bitsandbytes: pip install 'musicllm[qlora]'; "
            "or write merge.quantized_base=full_precision"
        )
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    rows = matrix.T.contiguous() if transposed else matrix
    packed, state = quantize_4bit(rows, compress_statistics=True, quant_type="nf4")
    restored: Tensor = dequantize_4bit(packed, state)
    return restored.T if transposed else restored


def quantized_names(model: PreTrainedModel) -> dict[str, bool]:
    """Return the names of weights that transformers quantizes -> whether they are transposed.

    These are all linear layers but the head; not those of a class of their own.
    """
    excluded = get_keys_to_not_convert(model)
    return {
        f"{name}.weight": isinstance(module, Conv1D)
        for name, module in model.named_modules()
        if (type(module) is nn.Linear or isinstance(module, Conv1D)) and name not in excluded
    }
