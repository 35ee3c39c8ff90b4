"""Which earlier tokens of its document a token attends to: all of them, a window, or a chunk.

transformers gives a layer its pattern as a mask of T x T elements. Here the mask of a whole row is
its description, `Local`, and the kernels compute it document by document.

Axes: T tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.masking_utils import sdpa_mask

MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""transformers' form of a mask: (row, head, query, key) -> whether the query sees the key."""


class Local(NamedTuple):
    """Causal attention within a window, or within chunks; it takes the place of a mask.

    Attributes:
        size: tokens that a token sees at most, with itself.
        chunked: the document is cut into chunks of `size` tokens, and a token sees those of its
            chunk (Llama 4); else it sees the last `size` tokens (arXiv 2310.06825).
    """

    size: int
    chunked: bool

    def visible(self, num_tokens: int, device: torch.device) -> Tensor:
        """Return what each token of one document sees, bool [T, T] of (query, key)."""
        if self.chunked:
            chunk = torch.arange(num_tokens, device=device) // self.size
            return causal(num_tokens, None, device) & (chunk[:, None] == chunk)
        return causal(num_tokens, self.size, device)


def causal(num_tokens: int, window: int | None, device: torch.device) -> Tensor:
    """Return what each token of one document sees, bool [T, T] of (query, key)."""
    positions = torch.arange(num_tokens, device=device)
    distance = positions[:, None] - positions
    visible = distance >= 0
    return visible if window is None else visible & (distance < window)


@torch.compiler.disable  # type: ignore[untyped-decorator]
@lru_cache(maxsize=4)
def cut(cu_seq_lens: Tensor, size: int) -> tuple[Tensor, int]:
    """Return the boundaries of the chunks of all documents, and the tokens of the longest chunk.

    Cached by tensor, since layers share it.

    Args:
        cu_seq_lens: int32 [documents + 1].
        size: tokens of a chunk, counted from the start of each document.
    """
    lengths: list[int] = []
    for length in cu_seq_lens.diff().tolist():
        lengths += [size] * (length // size) + [length % size] * (length % size > 0)
    ends = torch.tensor([0, *lengths], dtype=torch.int64).cumsum(0)
    return ends.to(cu_seq_lens), max(lengths)


def pattern_or_mask(
    *,
    q_length: int,
    kv_length: int,
    mask_function: MaskFunction,
    device: torch.device,
    attention_mask: Tensor | None = None,
    local_size: int | None = None,
    use_vmap: bool = False,
    allow_is_causal_skip: bool = True,
    allow_is_bidirectional_skip: bool = False,
    **kwargs: Any,
) -> Tensor | Local | None:
    """Return the mask that transformers gives to a layer; it is an `AttentionMaskInterface`.

    None is causal attention in every document. The mask function is evaluated for pairs of tokens
    at two distances, so that neither a bidirectional pattern nor a chunk is taken for a window.

    Returns:
        None or `Local` for whole rows, packed or not, and the mask of `sdpa` where there is
        padding, a cache, or a pattern that is neither causal, nor a window, nor a chunk.
    """
    whole = attention_mask is None and q_length == kv_length

    def sees(distance: int) -> Tensor:
        zero = torch.zeros((), dtype=torch.long, device=device)
        query = torch.arange(max(distance, 0), q_length + min(distance, 0), device=device)
        return mask_function(zero, zero, query, query - distance)

    plain = allow_is_causal_skip and local_size is None  # transformers says that it is causal
    special = use_vmap or allow_is_bidirectional_skip or (not plain and bool(sees(-1).any()))
    if not whole or special:
        mask: Tensor | None = sdpa_mask(
            q_length=q_length,
            kv_length=kv_length,
            mask_function=mask_function,
            device=device,
            attention_mask=attention_mask,
            local_size=local_size,
            use_vmap=use_vmap,
            allow_is_causal_skip=allow_is_causal_skip,
            **kwargs,
        )
        return mask
    if local_size is None or q_length <= local_size:
        return None
    oldest = sees(local_size - 1)
    # two tokens in succession see the oldest of a window, and only the last of a chunk its first
    return Local(local_size, chunked=not bool((oldest[1:] & oldest[:-1]).any()))
