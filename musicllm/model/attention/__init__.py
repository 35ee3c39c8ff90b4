"""Attention that isolates the documents of a packed row, with several kernels of one interface.

Packed documents follow one another in a row without padding, and `packed` returns where each
begins. Every kernel computes causal attention per document, so none sees another and no
T x T mask exists. Sliding windows, chunks, soft caps, sinks, scales and dropout of a model are
followed, or refused by name. Without boundaries (generation, padded batches, single rows) each is
transformers' `sdpa`, or attention with all scores in memory where that lacks something. Nothing
here decides what is packed.
"""

from __future__ import annotations

from musicllm.model.attention.choosing import ALL, Needs, choose
from musicllm.model.attention.kernels import flex, varlen, varlen_sdpa
from musicllm.model.attention.needs import needs_of
from musicllm.model.attention.packing import implementation, packed, register

NAME = "varlen_sdpa"
"""The kernel that runs everywhere."""

__all__ = [
    "ALL",
    "NAME",
    "Needs",
    "choose",
    "flex",
    "implementation",
    "needs_of",
    "packed",
    "register",
    "varlen",
    "varlen_sdpa",
]
