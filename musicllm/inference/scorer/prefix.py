"""Keys and values of a shared prefix, computed once and seen by every row of every batch.

A row sees the prefix and itself; what it adds is forgotten after the pass. Nothing is copied for
longer than one layer takes, so memory does not grow with the number of rows that share.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer


class _Shared(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values [1, heads, P, head width]; `update` keeps nothing."""

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        rows = key_states.shape[0], -1, -1, -1
        keys = torch.cat([self.keys.expand(rows), key_states], dim=-2)
        return keys, torch.cat([self.values.expand(rows), value_states], dim=-2)


def shared(cache: DynamicCache) -> Cache:
    """Return what a prefix left in a cache, to be seen by batches of any size."""
    return Cache(layers=[_Shared(layer) for layer in cache.layers])
