"""Document boundaries, and the kernels as transformers calls them.

The arguments that a model class may pass are a closed list: what none of the kernels computes is
refused with the name of the class.

Axes: B rows (1 if packed), H heads, T tokens, D head dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from musicllm.errors import NotAvailableError
from musicllm.model.attention.kernels import KERNELS, Kernel, Variant, dense
from musicllm.model.attention.patterns import Local, causal, cut, pattern_or_mask

PREFIX = "isolated_"
NAMES = {
    "varlen_sdpa": PREFIX + "per_document",
    "varlen": PREFIX + "varlen",
    "flex": PREFIX + "flex",
    "flash_attention_2": PREFIX + "fa2",
}
"""Name in `hardware.attention` -> name in transformers, where classes without torch's attention
refuse every name with "sdpa", and those with "flash" load kernels."""

WITHOUT_EFFECT = frozenset({
    "cache_position", "cu_seq_lens_k", "max_length_k", "num_items_in_batch", "output_hidden_states",
    "output_router_logits", "position_embeddings", "return_dict", "seq_idx", "use_cache",
})  # fmt: skip
"""Arguments of a model that reach its attention and do not change it."""


def register() -> None:
    """Register the kernels with transformers; idempotent."""
    for name, kernel in KERNELS.items():
        AttentionInterface.register(NAMES[name], _attention(name, kernel))
        AttentionMaskInterface.register(NAMES[name], pattern_or_mask)


def implementation(name: str | None) -> str | None:
    """Return the name in transformers of an attention, as in `hardware.attention` or its own."""
    return name if name is None else NAMES.get(name, name)


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


def _attention(name: str, kernel: Kernel) -> Callable[..., tuple[Tensor, None]]:
    """Wrap a kernel for transformers' `AttentionInterface`."""

    def attend(  # noqa: PLR0913 - what classes of transformers pass: a closed list
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | Local | None,
        *,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int | None = None,
        dropout: float = 0.0,
        scaling: float | None = None,
        sliding_window: int | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        is_causal: bool | None = None,
        position_ids: Tensor | None = None,
        **others: Any,
    ) -> tuple[Tensor, None]:
        _refuse_unknown(module, name, others)
        if is_causal is None:
            is_causal = getattr(module, "is_causal", True)
        variant = Variant(scaling, dropout, None, softcap, s_aux)
        rows = _one_dtype(query, key, value)
        if cu_seq_lens_q is None:
            if not isinstance(attention_mask, Tensor) and _restarts(module, position_ids):
                raise NotAvailableError(
                    f"position_ids restart, so the row is packed, but cu_seq_lens_q was not passed "
                    f"on to {type(module).__name__}: its documents would see each other"
                )
            out = _whole_rows(
                module, *rows, mask=attention_mask, variant=variant, is_causal=is_causal
            )
            return out, None
        assert query.shape[0] == 1, f"packed documents lie in one row, not in {query.shape[0]}"
        if isinstance(attention_mask, Tensor):
            raise _refusal(module, name, "a mask of its own, which is not causal")
        if not is_causal:
            raise _refusal(module, name, "attention to later tokens (is_causal=False)")
        longest = max_length_q or query.shape[2]
        if attention_mask is not None and attention_mask.chunked:
            cu_seq_lens_q, longest = cut(cu_seq_lens_q, attention_mask.size)
        elif attention_mask is not None:
            variant = variant._replace(window=attention_mask.size)
        _refuse_other_window(module, name, sliding_window, variant.window, longest)
        return kernel(*rows, cu_seq_lens_q, longest, variant=variant), None

    return attend


def _whole_rows(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    mask: Tensor | Local | None,
    variant: Variant,
    is_causal: bool,
) -> Tensor:
    """Compute attention of rows without document boundaries: padded, with a cache, or single."""
    num_queries, num_keys = query.shape[2], key.shape[2]
    if isinstance(mask, Local):
        mask = mask.visible(num_queries, query.device)[None, None]
    if variant.softcap is None and variant.sinks is None:
        plain = {"dropout": variant.dropout, "scaling": variant.scale, "is_causal": is_causal}
        return sdpa_attention_forward(module, query, key, value, mask, **plain)[0]  # type: ignore[no-any-return]
    if mask is None and is_causal and num_queries > 1:
        mask = causal(num_keys, None, query.device)[:num_queries]
    elif mask is None:  # a single token sees all
        mask = torch.ones((), dtype=torch.bool, device=query.device)
    return dense(query, key, value, mask, variant).transpose(1, 2)


def _one_dtype(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cast to the dtype of mixed precision; norms of queries and keys leave them in float32."""
    device = query.device.type
    dtype = value.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    return query.to(dtype), key.to(dtype), value.to(dtype)


def _refuse_unknown(module: torch.nn.Module, name: str, others: dict[str, Any]) -> None:
    for argument, value in others.items():
        if argument not in WITHOUT_EFFECT and value is not None and value is not False:
            raise _refusal(module, name, argument)


def _refuse_other_window(
    module: torch.nn.Module, name: str, sliding_window: int | None, mask: int | None, longest: int
) -> None:
    """Make sure that a window among the arguments is that of the mask, which eager attention has.

    Args:
        module: of the model class.
        name: of the kernel.
        sliding_window: the argument of the class; None if it passes none.
        mask: window of the mask.
        longest: tokens of the longest document.
    """
    if sliding_window is None:
        return
    if mask is not None and mask != sliding_window:
        raise _refusal(module, name, f"{sliding_window=} beside a mask of {mask}")
    if mask is None and longest > sliding_window:
        raise _refusal(module, name, f"{sliding_window=}, and gives it a mask without one")


def _refusal(module: torch.nn.Module, name: str, what: str) -> NotAvailableError:
    return NotAvailableError(
        f"{type(module).__name__} asks its attention for {what}, and hardware.attention={name} "
        f"does not compute that, so this model cannot be trained here"
    )


def _restarts(module: torch.nn.Module, position_ids: Tensor | None) -> bool:
    """Return whether positions restart; checked in the first layer only, since all see the same."""
    if position_ids is None or getattr(module, "layer_idx", 0) > 0:
        return False
    return bool((position_ids.diff(dim=-1) < 0).any())
