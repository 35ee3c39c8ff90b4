"""Document boundaries, and registration of the kernels with transformers.

Axes: B rows (1 if packed), H heads, T tokens, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from musicllm.model.attention.kernels import KERNELS, Kernel


def register() -> None:
    """Register the kernels with transformers; idempotent."""
    for name, kernel in KERNELS.items():
        AttentionInterface.register(name, _attention(kernel))
        AttentionMaskInterface.register(name, no_mask_for_whole_rows)


def packed(cu_seq_lens: Tensor) -> dict[str, Any]:
    """Return the arguments of a model's forward, beside `position_ids`, that isolate documents.

    The names are those of transformers' flash attention, so that every attention isolates
    documents with the same arguments.

    Args:
        cu_seq_lens: int32 [documents + 1], the start of each document and the end of the last.
    """
    longest = int(cu_seq_lens.diff().max())
    return {
        "cu_seq_lens_q": cu_seq_lens,
        "cu_seq_lens_k": cu_seq_lens,
        "max_length_q": longest,
        "max_length_k": longest,
    }


def _attention(kernel: Kernel) -> Callable[..., tuple[Tensor, None]]:
    """Wrap a kernel for transformers' `AttentionInterface`."""

    def attend(
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int | None = None,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if cu_seq_lens_q is None:
            assert attention_mask is not None or not _restarts(module, **kwargs), (
                "position_ids restart, so the row is packed, but cu_seq_lens_q was not passed: "
                "its documents would see each other"
            )
            return sdpa_attention_forward(  # type: ignore[no-any-return]
                module, query, key, value, attention_mask, dropout=dropout, **kwargs
            )
        assert attention_mask is None, "a packed row needs no mask"
        assert query.shape[0] == 1, f"packed documents lie in one row, not in {query.shape[0]}"
        scale = kwargs.get("scaling")
        longest = max_length_q or query.shape[2]
        return kernel(query, key, value, cu_seq_lens_q, longest, scale=scale, dropout=dropout), None

    return attend


def no_mask_for_whole_rows(
    *,
    q_length: int,
    kv_length: int,
    attention_mask: Tensor | None = None,
    **kwargs: Any,
) -> Tensor | None:
    """Return no mask for whole rows, which are causal or packed; else the mask of `sdpa`."""
    if attention_mask is None and q_length == kv_length:
        return None
    return sdpa_mask(  # type: ignore[no-any-return]
        q_length=q_length, kv_length=kv_length, attention_mask=attention_mask, **kwargs
    )


def _restarts(module: torch.nn.Module, position_ids: Tensor | None = None, **_: object) -> bool:
    """Return whether positions restart; checked in the first layer only, since all see the same."""
    if position_ids is None or getattr(module, "layer_idx", 0) > 0:
        return False
    return bool((position_ids.diff(dim=-1) < 0).any())
