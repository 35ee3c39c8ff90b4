"""Keys, values and states of rows that are continued together, each of its own length.

A row enters with the cache that it got alone, so no padding is ever fed to a model. Its last token
lies in the newest column; columns before its first are masked. New columns are written in place,
and a row that ends leaves its place to another one.

Axes: B rows, H heads, C columns, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import (
    DummyLayer,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
    LinearAttentionLayer,
)

SPARE_COLUMNS = 128
"""Columns that are reserved at a time; then everything is copied once."""


class _Columns:
    """A layer's keys and values [B, H, C, D] in buffers with room for further columns.

    Only columns from `first` on are shown, since no row reaches further back.
    """

    sliding_window: int | None = None

    def reserve(self, keys: Tensor, values: Tensor, rows: int, columns: int) -> None:
        """Make empty buffers for what looks like the keys and values of one row."""
        self.first = self.length = 0
        self.buffers = [
            part.new_zeros(rows, part.shape[1], columns, part.shape[3]) for part in (keys, values)
        ]
        self.keys, self.values = self.buffers
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_args: object, **_kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Add a column and return what a new token sees."""
        num_new = key_states.shape[2]
        end = self.length + num_new
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, self.length : end] = new
        begin = self.first
        if self.sliding_window is not None:
            begin = max(begin, self.length - self.sliding_window + 1)
        self.length = end
        keys, values = (buffer[:, :, begin:end] for buffer in self.buffers)
        return keys, values

    def get_seq_length(self) -> int:
        """Return how many columns are shown."""
        return self.length - self.first

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many columns the next tokens see, and the number of the first of them."""
        length = self.get_seq_length()
        offset = 0 if self.sliding_window is None else max(length - self.sliding_window + 1, 0)
        return length - offset + query_length, offset

    def rearrange(self, rows: Tensor | None, shift: int, columns: int) -> None:
        """Copy what is shown to new buffers.

        Args:
            rows: which stay; None: all.
            shift: columns to put before the others.
            columns: of the new buffers.
        """
        end = shift + self.get_seq_length()
        for number, buffer in enumerate(self.buffers):
            shown = buffer[:, :, self.first : self.length]
            shown = shown if rows is None else shown[rows]
            new = shown.new_zeros(len(shown), shown.shape[1], columns, shown.shape[3])
            new[:, :, shift:end] = shown
            self.buffers[number] = new
        self.keys, self.values = self.buffers
        self.first, self.length = 0, end

    def place(self, row: int, keys: Tensor, values: Tensor) -> None:
        """Put a row's keys and values [1, H, <= C, D] into the last columns, and nothing before."""
        for buffer, new in zip(self.buffers, (keys, values), strict=True):
            begin = self.length - new.shape[2]
            buffer[row, :, :begin] = 0
            buffer[row, :, begin : self.length] = new[0]


class _Full(_Columns, DynamicLayer):  # type: ignore[misc]
    """Attention to everything before."""


class _Window(_Columns, DynamicSlidingWindowLayer):  # type: ignore[misc]
    """Attention within a window."""


class _Mixed(_Columns, LinearAttentionAndFullAttentionLayer):  # type: ignore[misc]
    """A state beside attention."""


class _MixedWindow(_Columns, LinearAttentionAndSlidingWindowAttentionLayer):  # type: ignore[misc]
    """A state beside attention within a window."""


_KINDS: dict[type, type] = {
    DynamicLayer: _Full,
    DynamicSlidingWindowLayer: _Window,
    LinearAttentionLayer: LinearAttentionLayer,
    LinearAttentionAndFullAttentionLayer: _Mixed,
    LinearAttentionAndSlidingWindowAttentionLayer: _MixedWindow,
    DummyLayer: DummyLayer,
}
"""Layer of one row's cache -> the layer that has many rows."""


def can_share(cache: Cache) -> bool:
    """Tell whether rows with such caches can be continued together."""
    return type(cache) is DynamicCache and all(type(layer) in _KINDS for layer in cache.layers)


class OneRow:
    """The cache of one row that cannot be put beside others, with what `RowsCache` offers."""

    has_attention = True

    def __init__(self, cache: Cache, num_tokens: int) -> None:
        self.for_model = cache
        self.lengths = [num_tokens]
        self._device = next(_tensors(cache), torch.empty(0)).device

    def next_mask(self) -> Tensor:
        """See `RowsCache`."""
        return torch.ones(1, self.lengths[0] + 1, dtype=torch.long, device=self._device)

    def advance(self) -> None:
        """See `RowsCache`."""
        self.lengths = [self.lengths[0] + 1]

    def release(self, _place: int) -> None:
        """See `RowsCache`."""

    def select(self, _places: Sequence[int]) -> None:
        """See `RowsCache`."""


class RowsCache(Cache):  # type: ignore[misc]
    """The caches of some rows, as one that a model reads and writes.

    Args:
        num_rows: places for rows.
        example: cache of one row behind its prompt; `can_share(example)`.
    """

    def __init__(self, num_rows: int, example: Cache) -> None:
        super().__init__(layers=[_empty(layer, num_rows) for layer in example.layers])
        self.num_rows = num_rows
        self._columns: list[Any] = [
            layer for layer in self.layers if isinstance(layer, _Columns) and layer.is_initialized
        ]
        self._lengths = [0] * num_rows
        device = next(_tensors(example)).device
        self._mask = torch.zeros(num_rows, SPARE_COLUMNS, dtype=torch.long, device=device)
        self._first = self._length = 0

    @property
    def for_model(self) -> RowsCache:
        """What the model gets."""
        return self

    @property
    def has_attention(self) -> bool:
        """Whether any layer has keys and values."""
        return bool(self._columns)

    @property
    def lengths(self) -> list[int]:
        """Tokens of every row; 0 of a free place."""
        return self._lengths

    def admit(self, place: int, cache: Cache, num_tokens: int) -> None:
        """Put a row into a free place.

        Args:
            place: of the row.
            cache: of that row alone, behind its tokens.
            num_tokens: how many they are.
        """
        if num_tokens > self._length:
            self._rearrange(None, num_tokens - (self._length - self._first))
        for layer, own in zip(self.layers, cache.layers, strict=True):
            if isinstance(own, LinearAttentionLayer):
                _copy_states(layer, own, place)
            if layer in self._columns:
                layer.place(place, own.keys, own.values)
        self._lengths[place] = num_tokens
        self._mask[place] = 0
        self._mask[place, self._length - num_tokens : self._length] = 1
        self._show_least()

    def release(self, place: int) -> None:
        """Free the place of a row that has ended."""
        self._lengths[place] = 0
        self._mask[place] = 0
        self._show_least()

    def select(self, places: Sequence[int]) -> None:
        """Drop all rows but these, which are numbered anew in this order."""
        rows = torch.tensor(places, device=self._mask.device)
        self._lengths = [self._lengths[place] for place in places]
        self._show_least()
        self._rearrange(rows, 0)
        for layer in self.layers:
            if isinstance(layer, LinearAttentionLayer):
                LinearAttentionLayer.reorder_cache(layer, rows)
        self.num_rows = len(places)

    def grow(self, num_rows: int) -> None:
        """Add free places, up to so many in all."""
        old = self.num_rows
        rows = torch.zeros(num_rows, dtype=torch.long, device=self._mask.device)
        rows[:old] = torch.arange(old)  # a free place holds what another row has, and hides it
        self._lengths = [*self._lengths, *[0] * (num_rows - old)]
        self._rearrange(rows, 0)
        self._mask[old:] = 0
        for layer in self.layers:
            if isinstance(layer, LinearAttentionLayer):
                LinearAttentionLayer.reorder_cache(layer, rows)
        self.num_rows = num_rows

    def next_mask(self) -> Tensor:
        """Make room for a token of every row and return its mask, int64 [B, columns shown]."""
        if self._length == self._mask.shape[1]:
            self._rearrange(None, 0)
        self._mask[:, self._length] = 1
        return self._mask[:, self._first : self._length + 1]

    def advance(self) -> None:
        """Count the token that every row got."""
        self._length += 1
        for place, length in enumerate(self._lengths):
            if length:
                self._lengths[place] += 1
            else:
                self._mask[place, self._length - 1] = 0

    def _show_least(self) -> None:
        """Hide the columns that no row reaches."""
        self._first = self._length - max(self._lengths)
        for layer in self._columns:
            layer.first = self._first

    def _rearrange(self, rows: Tensor | None, shift: int) -> None:
        """Copy what is shown to where there is room; see `_Columns.rearrange`."""
        shown = self._length - self._first
        columns = shift + shown + SPARE_COLUMNS
        for layer in self._columns:
            layer.rearrange(rows, shift, columns)
        mask = self._mask[:, self._first : self._length]
        mask = mask if rows is None else mask[rows]
        self._mask = mask.new_zeros(len(mask), columns)
        self._mask[:, shift : shift + shown] = mask
        self._first, self._length = 0, shift + shown


def _empty(layer: Any, num_rows: int) -> Any:
    """Return a layer like this one for many rows, without any content."""
    kind = _KINDS[type(layer)]
    arguments = {}
    if isinstance(layer, DynamicSlidingWindowLayer):
        arguments["sliding_window"] = layer.sliding_window
    if isinstance(layer, LinearAttentionLayer):
        arguments["number_of_states"] = layer.number_of_states
    empty = kind(**arguments)
    if isinstance(empty, _Columns):
        empty.first = empty.length = 0
        if layer.is_initialized and layer.keys is not None:
            empty.reserve(layer.keys, layer.values, num_rows, SPARE_COLUMNS)
    if isinstance(layer, LinearAttentionLayer):
        empty.dtype, empty.device = layer.dtype, layer.device
        for name in ("is_conv_states_initialized", "is_recurrent_states_initialized",
                     "has_previous_state", "conv_kernel_size"):  # fmt: skip
            setattr(empty, name, dict(getattr(layer, name)))
        for name in ("conv_states", "recurrent_states"):
            states = getattr(layer, name).items()
            setattr(empty, name, {
                number: None if one is None else one.new_zeros(num_rows, *one.shape[1:])
                for number, one in states
            })  # fmt: skip
    return empty


def _copy_states(layer: Any, own: Any, place: int) -> None:
    for name in ("conv_states", "recurrent_states"):
        for number, state in getattr(own, name).items():
            if state is not None:
                getattr(layer, name)[number][place] = state[0]


def _tensors(cache: Cache) -> Any:
    for layer in cache.layers:
        if getattr(layer, "keys", None) is not None:
            yield layer.keys
        for state in getattr(layer, "conv_states", {}).values():
            if state is not None:
                yield state
