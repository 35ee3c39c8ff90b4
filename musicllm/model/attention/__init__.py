"""Attention that keeps the documents of a packed row apart, by several kernels of one interface.

Packed documents lie one after the other in one row without padding, and `packed` says where each
begins. Every kernel gives every document its own causal attention, so none sees another and no
T x T mask exists. Without those boundaries (generation, padded batches) each is transformers'
`sdpa`, but for `flash_attention_2`, which is transformers' own throughout. Nothing here decides
what is packed.
"""

from __future__ import annotations

from musicllm.model.attention.choosing import ALL, choose
from musicllm.model.attention.kernels import flex, varlen, varlen_sdpa
from musicllm.model.attention.packing import packed, register

NAME = "varlen_sdpa"
"""The one that runs everywhere."""

__all__ = ["ALL", "NAME", "choose", "flex", "packed", "register", "varlen", "varlen_sdpa"]
