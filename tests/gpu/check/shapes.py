"""Documents, masks and a plain attention for the parts about kernels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """An attention to compare.

    Attributes:
        num_heads: of queries.
        num_groups: of keys and values.
        head_dim: of queries and keys.
        value_dim: of values; None for `head_dim`.
        scale: of the scores; None for 1 / sqrt(head_dim).
        window: tokens that a token sees, with itself; None for all before it.
        softcap: of the scores.
        sinks: a score per head without a value.
    """

    num_heads: int = 8
    num_groups: int = 2
    head_dim: int = 128
    value_dim: int | None = None
    scale: float | None = None
    window: int | None = None
    softcap: float | None = None
    sinks: bool = False

    def text(self) -> str:
        """Return what differs from plain attention."""
        parts = [f"heads of {self.head_dim}"]
        parts += [f"values of {self.value_dim}"] if self.value_dim else []
        parts += ["no groups"] if self.num_groups == self.num_heads else []
        for name in ("scale", "window", "softcap"):
            value = getattr(self, name)
            parts += [] if value is None else [f"{name} {value:g}"]
        return ", ".join(parts + (["sinks"] if self.sinks else []))


CASES = (
    *(Case(head_dim=size) for size in (64, 80, 96, 128, 256)),
    Case(num_groups=8),
    Case(window=64),
    Case(softcap=20.0),
    Case(sinks=True),
    Case(scale=0.3),
    Case(window=64, softcap=20.0),
    Case(window=64, sinks=True),
    Case(head_dim=192, value_dim=128, num_groups=8),
)

LENGTHS = [1, 700, 2, 1, 331, 65, 3, 128, 130]
"""Of documents: single tokens, around a window, around blocks of 128, and long ones."""


@dataclass(frozen=True)
class Inputs:
    """Inputs of a case, as float32 leaves on a device.

    Attributes:
        tensors: query [1, H, T, D], key [1, Hkv, T, D], value [1, Hkv, T, Dv], and sinks [H].
        weights: what the outputs [1, T, H, Dv] are multiplied with, for a gradient.
        lengths: of documents.
    """

    tensors: tuple[Tensor, ...]
    weights: Tensor
    lengths: list[int]


def inputs(case: Case, lengths: list[int], device: str) -> Inputs:
    """Draw inputs, the same every time."""
    generator = torch.Generator().manual_seed(0)
    total, values = sum(lengths), case.value_dim or case.head_dim

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    query = draw(1, case.num_heads, total, case.head_dim)
    key = draw(1, case.num_groups, total, case.head_dim)
    value = draw(1, case.num_groups, total, values)
    tensors = (query, key, value, *([draw(case.num_heads)] if case.sinks else []))
    return Inputs(tensors, draw(1, total, case.num_heads, values), lengths)


def plain(case: Case, tensors: tuple[Tensor, ...], lengths: list[int]) -> Tensor:
    """Compute attention of each document by itself with all scores, by its definition.

    Returns:
        [1, T, H, Dv].
    """
    query, key, value, *sinks = tensors
    repeats = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    outputs = []
    for q, k, v in zip(*(t.split(lengths, dim=2) for t in (query, key, value)), strict=True):
        scores = q @ k.transpose(2, 3) * (case.scale or case.head_dim**-0.5)
        if case.softcap is not None:
            scores = case.softcap * torch.tanh(scores / case.softcap)
        place = torch.arange(q.shape[2], device=q.device)
        distance = place[:, None] - place[None]
        visible = distance >= 0
        if case.window is not None:
            visible &= distance < case.window
        scores = scores.masked_fill(~visible, -torch.inf)
        if sinks:
            sink = sinks[0].view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
            weights = torch.cat([scores, sink], dim=-1).softmax(-1)[..., :-1]
        else:
            weights = scores.softmax(-1)
        outputs.append((weights @ v).transpose(1, 2))
    return torch.cat(outputs, dim=1)


def ends(lengths: list[int], device: str) -> Tensor:
    """Return where documents begin and the last one ends, int32 [documents + 1]."""
    return torch.tensor([0, *lengths]).cumsum(0).int().to(device)
