"""Attention kernels: causal attention within each document of a packed row.

`varlen_sdpa` calls torch's scaled dot product attention once per document, `varlen` is torch's own
variable-length FlashAttention, `flex` compiles FlexAttention with a block mask. The package
flash-attn is used through transformers and needs nothing here. Which of them a device can run is
decided in `choosing`.

Axes: H heads, Hkv heads of keys and values (divides H), T tokens, D head dimension.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, lru_cache, partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Kernel = Callable[..., Tensor]
"""(query, key, value, cu_seq_lens, longest, scale=, dropout=) -> [1, T, H, D]: `varlen_sdpa`."""


@torch.compiler.disable  # type: ignore[untyped-decorator]
def varlen_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,  # noqa: ARG001
    *,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Compute attention with one call of torch's scaled dot product attention per document.

    Time grows with the sum over documents of length squared, plus one kernel call per document;
    memory with T. For 17 documents of 120 tokens on a CPU this takes a seventh of the time of
    attention over the whole row. Deterministic where torch's function is, as on
    the CPU. A compiled model has a graph break here, since lengths differ from batch to batch.

    Args:
        query: [1, H, T, D].
        key: [1, Hkv, T, D].
        value: as `key`.
        cu_seq_lens: int32 [documents + 1].
        longest: tokens of the longest document; unused here.
        scale: of the scores; None for 1 / sqrt(D).
        dropout: probability that an attention weight is zeroed.

    Returns:
        [1, T, H, D].
    """
    lengths = _lengths(cu_seq_lens)
    assert sum(lengths) == query.shape[2], f"documents end at {sum(lengths)}, not {query.shape[2]}"
    attend = partial(
        scaled_dot_product_attention,
        dropout_p=dropout,
        is_causal=True,
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    # split, since the gradient of every slice would have the length of the row
    documents = zip(
        *(tensor.split_with_sizes(lengths, dim=2) for tensor in (query, key, value)), strict=True
    )
    return torch.cat([attend(*document).transpose(1, 2) for document in documents], dim=1)


def varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,
    *,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Compute attention with `torch.nn.attention.varlen` (arXiv 2307.08691); as `varlen_sdpa`.

    Half precision on a GPU only. Memory grows with T.
    """
    assert dropout == 0, "torch's variable-length attention has no dropout"
    attend, supports_groups = _varlen_attn()
    groups = query.shape[1] // key.shape[1]
    options: dict[str, Any] = {"enable_gqa": groups > 1} if supports_groups else {}
    if groups > 1 and not supports_groups:
        key, value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
    rows = [tensor[0].transpose(0, 1) for tensor in (query, key, value)]
    ends = (cu_seq_lens, cu_seq_lens, longest, longest)
    causal = (-1, 0)  # everything before, nothing after
    out: Tensor = attend(*rows, *ends, scale=scale, window_size=causal, **options)
    return out[None]


def flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,  # noqa: ARG001
    *,
    scale: float | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Compute attention with FlexAttention (arXiv 2412.05496); as `varlen_sdpa`.

    Blocks of 128 x 128 without a pair of one document are skipped. The block mask is computed once
    per batch and shared by all layers, which pass the same `cu_seq_lens`. Torch has no gradient
    for it on a CPU.
    """
    assert dropout == 0, "FlexAttention has no dropout"
    out: Tensor = _flex_attention()(
        query,
        key,
        value,
        block_mask=_block_mask(cu_seq_lens, query.shape[2]),
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return out.transpose(1, 2)


KERNELS: dict[str, Kernel] = {"varlen_sdpa": varlen_sdpa, "varlen": varlen, "flex": flex}
"""Name in `hardware.attention` and in transformers -> kernel."""


@lru_cache(maxsize=1)
def _lengths(cu_seq_lens: Tensor) -> list[int]:
    """Return the document lengths; cached by tensor, since layers share it."""
    lengths: list[int] = cu_seq_lens.diff().tolist()
    return lengths


@lru_cache(maxsize=1)
def _block_mask(cu_seq_lens: Tensor, num_tokens: int) -> Any:
    """Return the block mask of a batch; cached by tensor, since layers share it."""
    from torch.nn.attention.flex_attention import create_block_mask

    device = cu_seq_lens.device
    numbers = torch.arange(len(cu_seq_lens) - 1, device=device)
    document = numbers.repeat_interleave(cu_seq_lens.diff(), output_size=num_tokens)

    def same_document_and_before(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
        return (query >= key) & (document[query] == document[key])

    return create_block_mask(
        same_document_and_before, None, None, num_tokens, num_tokens, device=str(device)
    )


@cache
def _flex_attention() -> Any:
    """Return the compiled kernel; dynamic, since the number of tokens differs between batches."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


@cache
def _varlen_attn() -> tuple[Any, bool]:
    """Return torch's function, and whether it supports grouped queries (not in torch 2.11)."""
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn, "enable_gqa" in inspect.signature(varlen_attn).parameters
