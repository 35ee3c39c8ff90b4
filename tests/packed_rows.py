"""Packed rows for tests of attention, and what the documents of one give each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from musicllm.model import attention

Packed = dict[str, Tensor]


def make_documents(lengths: Sequence[int], vocab_size: int = 64) -> list[Tensor]:
    """Return documents of random tokens, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(vocab_size, (length,), generator=generator) for length in lengths]


def pack(documents: Sequence[Tensor], device: str = "cpu") -> Packed:
    """Return one row of all documents."""
    lengths = torch.tensor([len(document) for document in documents])
    row = {
        "input_ids": torch.cat(list(documents))[None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "cu_seq_lens": nn.functional.pad(lengths.cumsum(0), (1, 0)).int(),
    }
    return {name: tensor.to(device) for name, tensor in row.items()}


def forward(model: Any, row: Packed, **options: Any) -> Tensor:
    """Return the logits of a packed row, [T, V]."""
    logits: Tensor = model(
        input_ids=row["input_ids"],
        position_ids=row["position_ids"],
        **attention.packed(row["cu_seq_lens"]),
        **options,
    ).logits[0]
    return logits


def alone(model: Any, documents: Sequence[Tensor], device: str = "cpu") -> Tensor:
    """Return the logits of every document by itself, one after the other, [T, V]."""
    rows = [document[None].to(device) for document in documents]
    return torch.cat([model(input_ids=row).logits[0] for row in rows])


def gradient(model: Any, logits: Tensor) -> Tensor:
    """Return the gradient of a loss on logits in the first layer's keys."""
    model.zero_grad()
    logits.float().square().sum().backward()
    found: Tensor = model.model.layers[0].self_attn.k_proj.weight.grad.clone()
    return found
