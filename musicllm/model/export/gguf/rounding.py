"""How the numbers of a GGUF file are rounded: f16, q8_0 and q4_k_m.

The choice per tensor is that of llama.cpp's own `llama-quantize`: vectors stay in 32 bits, the head
(or the embeddings that are the head as well) gets more bits than the rest, so do the values of
attention and the second matrix of the MLP in the first, the last and every third layer. A matrix
whose rows are no multiple of a block gets the next type that fits.

Blocks of 32 are rounded by `gguf`, those of 256 by `libgguf`, since `gguf` only reads them. Both
give llama.cpp's bytes (a test compares them).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import LlamaFileType
from numpy.typing import NDArray
from torch import Tensor

from musicllm.errors import InputError, NotAvailableError

Quantize = Callable[[NDArray[np.float32], Type], NDArray[np.generic]]

FILE_TYPES = {
    "f16": LlamaFileType.MOSTLY_F16,
    "q8_0": LlamaFileType.MOSTLY_Q8_0,
    "q4_k_m": LlamaFileType.MOSTLY_Q4_K_M,
}
"""`export.quantization` -> what the file says of itself."""

LARGEST_F16 = 65504.0
ROWS_AT_ONCE = 2**24
"""Numbers that are in memory in 32 bits together: 64 MB."""

HOW_TO = "pip install 'musicllm[gguf]'"

_SMALLER_BLOCKS = {Type.Q4_K: Type.Q5_0, Type.Q6_K: Type.Q8_0, Type.Q8_0: Type.F16}
"""Type -> what a row gets that is no multiple of its block."""

_LAYER = re.compile(r"blk\.(\d+)\.(attn_v|ffn_down)\.weight")


def type_of(
    name: str, shape: tuple[int, ...], quantization: str, *, num_layers: int, is_tied: bool
) -> Type:
    """Return the type of a tensor in a file.

    Args:
        name: in GGUF.
        shape: with the length of a row last.
        quantization: key of `FILE_TYPES`.
        num_layers: of the model.
        is_tied: the embeddings are the head as well.
    """
    if len(shape) == 1:
        return Type.F32
    chosen = {"f16": Type.F16, "q8_0": Type.Q8_0, "q4_k_m": Type.Q4_K}[quantization]
    if chosen is Type.Q4_K:
        is_head = name == "output.weight" or (is_tied and name == "token_embd.weight")
        layer = _LAYER.fullmatch(name)
        if is_head or (layer is not None and _is_important(int(layer[1]), num_layers)):
            chosen = Type.Q6_K
    while shape[-1] % gguf.GGML_QUANT_SIZES[chosen][0]:
        chosen = _SMALLER_BLOCKS.get(chosen, Type.F16)
    return chosen


def rounded(name: str, tensor: Tensor, kind: Type) -> NDArray[np.generic]:
    """Return a tensor in a type, rounded in portions of its rows.

    Args:
        name: for errors.
        tensor: of any dtype; [rows, length] or [length].
        kind: of `type_of`.

    Raises:
        InputError: a number is too large for 16 bits.
        NotAvailableError: a package is not installed.
    """
    if kind is Type.F32:
        return tensor.float().numpy()
    if kind is Type.F16 and float(tensor.abs().max()) > LARGEST_F16:
        raise InputError(
            f"{name} has numbers up to {float(tensor.abs().max()):.3g}, and f16 ends at "
            f"{LARGEST_F16:.0f}, so they would become infinite; write export.quantization=q8_0"
        )
    quantize = _quantizer(kind)
    step = max(1, ROWS_AT_ONCE // tensor.shape[-1])
    parts = [
        quantize(tensor[start : start + step].float().contiguous().numpy(), kind)
        for start in range(0, tensor.shape[0], step)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def num_bytes(shape: tuple[int, ...], kind: Type) -> int:
    """Return the size of a tensor in a type."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    num_bytes: int = math.prod(shape) // block * size
    return num_bytes


def _quantizer(kind: Type) -> Quantize:
    if kind not in (Type.Q4_K, Type.Q6_K):
        quantize: Quantize = gguf.quants.quantize
        return quantize
    try:
        import libgguf
    except ImportError:
        raise NotAvailableError(f"q4_k_m needs the package libgguf: {HOW_TO}") from None
    return lambda rows, kind: libgguf.quantize_rows(rows, int(kind))


def _is_important(layer: int, num_layers: int) -> bool:
    """Say whether a layer gets more bits: the first and last eighth and every third between."""
    eighth = num_layers // 8
    return layer < eighth or layer >= 7 * num_layers // 8 or (layer - eighth) % 3 == 2
