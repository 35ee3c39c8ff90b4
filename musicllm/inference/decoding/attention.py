"""Attention of a new token of every row that does not depend on the other rows.

Kernels of attention round by the number of rows and of masked columns. On a CPU every row is
therefore computed by itself, over its own columns, by the kernel that the model has: bit by bit
what it gets alone, and no slower, since nothing masked is read. On other devices nothing changes:
a call for each row would take longer than the rest of the model.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from musicllm.model import attention as isolated

NAMES = ("sdpa", isolated.implementation(isolated.NAME))
"""Attention in transformers' registry that models have here; `eager` is a class's own."""

Attend = Callable[..., tuple[Tensor, Any]]


class _Turns:
    """A lock that threads get in the order in which they come."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._last = self._now = 0

    def __enter__(self) -> None:
        with self._changed:
            turn, self._last = self._last, self._last + 1
            self._changed.wait_for(lambda: turn == self._now)

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._now += 1
            self._changed.notify_all()


_TURNS = _Turns()
"""The registry is one for all models, so those on a CPU take turns, as they do with its cores."""


@contextmanager
def row_by_row(device: torch.device) -> Iterator[None]:
    """Let attention take one row after the other inside the block, on a CPU.

    Other threads wait for the end of the block, so it is as short as a step.
    """
    if device.type != "cpu":
        yield
        return
    with _TURNS:
        names = [name for name in NAMES if name in ALL_ATTENTION_FUNCTIONS]
        plain = {name: ALL_ATTENTION_FUNCTIONS[name] for name in names}
        try:
            for name, attend in plain.items():
                ALL_ATTENTION_FUNCTIONS[name] = _Rows(attend)
            yield
        finally:
            for name, attend in plain.items():
                ALL_ATTENTION_FUNCTIONS[name] = attend


class _Rows:
    """A kernel that is called for every row; where each begins is looked up once per mask."""

    def __init__(self, attend: Attend) -> None:
        self._attend = attend
        self._mask: Tensor | None = None
        self._begins: list[int] = []

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Any,
        **options: Any,
    ) -> tuple[Tensor, Any]:
        """Attend; shapes as transformers' `AttentionInterface` has them."""
        is_mask = isinstance(attention_mask, Tensor)
        if query.shape[2] > 1 or not (attention_mask is None or is_mask):
            return self._attend(module, query, key, value, attention_mask, **options)
        if is_mask and attention_mask.dtype != torch.bool:  # a bias of the model's own
            return self._attend(module, query, key, value, attention_mask, **options)
        begins = self._begins_of(attention_mask) if is_mask else [0]
        begins = begins * (len(query) // len(begins))
        rows = [
            self._attend(
                module,
                query[row : row + 1],
                key[row : row + 1, :, begin:],
                value[row : row + 1, :, begin:],
                None,
                **options,
            )[0]
            for row, begin in enumerate(begins)
        ]
        return torch.cat(rows), None

    def _begins_of(self, mask: Tensor) -> list[int]:
        """Return the first visible column of every row of a mask [B, 1, 1, C]."""
        if mask is not self._mask:
            self._mask, self._begins = mask, mask[:, 0, 0].int().argmax(-1).tolist()
        return self._begins
