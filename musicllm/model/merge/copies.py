"""Copies of a text that pass through a model together, as rows of one batch.

A part of a model may need them one by one. It is called with tensors whose first dimension is that
of the rows, or that of all tokens of all rows, as the experts of a layer are.

Axes: C copies, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Copies:
    """Copies of one text.

    Attributes:
        count: C.
        num_tokens: T of one copy.
    """

    count: int
    num_tokens: int

    def take(self, value: Any, copy: int) -> Any:
        """Return what belongs to one copy.

        Args:
            value: tensors, [C, ...] or [n x C x T, ...], in any nesting of tuples, lists and
                mappings. What has another shape belongs to all copies.
            copy: its number.
        """
        if isinstance(value, Tensor):
            rows = value.shape[0] if value.dim() else 0
            if rows == self.count:
                return value[copy : copy + 1]
            if rows and rows % (self.count * self.num_tokens) == 0:
                apart = value.reshape(-1, self.count, self.num_tokens, *value.shape[1:])
                return apart[:, copy].flatten(0, 1)
            return value
        if isinstance(value, dict):
            return {key: self.take(item, copy) for key, item in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(self.take(item, copy) for item in value)
        return value

    def join(self, values: Sequence[Any]) -> Any:
        """Return the outputs of all copies together; the reverse of `take`."""
        first = values[0]
        if isinstance(first, Tensor):
            if first.shape[0] == 1:
                return torch.cat(list(values))
            apart = [value.reshape(-1, self.num_tokens, *value.shape[1:]) for value in values]
            return torch.stack(apart, dim=1).flatten(0, 2)
        if isinstance(first, tuple | list):
            return type(first)(self.join(items) for items in zip(*values, strict=True))
        return first
