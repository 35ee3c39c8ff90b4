"""A copy of a model for tracing: one layer of each kind, on the meta device, with its adapter.

Layers that are alike compute alike. So of each kind the first two are copied (nothing below the
first trained weight needs a gradient, which distinguishes the lowest) and the others are replaced
by stand-ins, which pass the hidden states on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

COPIES = 2
"""Layers of a kind that are copied at first."""

Kind = Hashable
"""What layers that compute alike have in common."""


class UnknownLayerError(Exception):
    """A layer got another kind of input than those that were traced.

    Attributes:
        index: of the layer.
    """

    def __init__(self, index: int) -> None:
        """Take the index."""
        super().__init__(index)
        self.index = index


class StandIn(nn.Module):
    """Takes the place of a layer that is like another one.

    Attributes:
        index: of the layer.
        kind: see `kinds_of`.
    """

    def __init__(self, layer: nn.Module, index: int, kind: Hashable) -> None:
        """Take the attributes of a layer that its decoder may read, but no module or tensor."""
        super().__init__()
        for name, value in vars(layer).items():
            if not name.startswith("_") and not isinstance(value, Tensor | nn.Module):
                setattr(self, name, value)
        self.index = index
        self.kind = kind


def kinds_of(layers: Sequence[nn.Module], targets: Sequence[Hashable]) -> list[Hashable]:
    """Return a key for every layer; equal ones have equal modules, shapes and plain attributes.

    Args:
        layers: of the decoder.
        targets: what is adapted in each layer.
    """
    return [(_signature(layer), target) for layer, target in zip(layers, targets, strict=True)]


def _signature(layer: nn.Module) -> Hashable:
    return tuple(
        (name, type(module), _shapes(module), _plain(module))
        for name, module in layer.named_modules()
    )


def _shapes(module: nn.Module) -> Hashable:
    weights = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    return tuple((name, tuple(weight.shape)) for name, weight in weights)


def _plain(module: nn.Module) -> Hashable:
    """Return attributes that are numbers or names, without those that number the layers."""
    return tuple(
        (name, value)
        for name, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str)
        and not name.startswith("_")
        and name not in INDICES
    )


INDICES = ("layer_idx", "layer_number", "layer_id")
"""Attributes that differ between layers that are alike."""


def truncated(
    model: nn.Module, paths: Sequence[str], kinds: Sequence[Hashable], copied: set[int]
) -> Any:
    """Return a copy of a model in which only some layers are real.

    Args:
        model: on the meta device; it is not modified.
        paths: of its layers.
        kinds: of `kinds_of`.
        copied: indices of the layers to copy; the others become stand-ins.
    """
    memo: dict[int, Any] = {}
    for index, (path, kind) in enumerate(zip(paths, kinds, strict=True)):
        if index not in copied:
            layer = model.get_submodule(path)
            memo[id(layer)] = StandIn(layer, index, kind)
    return copy.deepcopy(model, memo)


def first_of(kinds: Sequence[Hashable], num: int = COPIES) -> set[int]:
    """Return the indices of the first layers of each kind."""
    counts: dict[Hashable, int] = {}
    chosen = set()
    for index, kind in enumerate(kinds):
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= num:
            chosen.add(index)
    return chosen


def make_fake(model: nn.Module, dtype_of: Callable[[nn.Parameter], torch.dtype]) -> None:
    """Replace all tensors of a model by new ones, under an active `FakeTensorMode`.

    Args:
        model: modified in place.
        dtype_of: of its parameters.
    """
    done: dict[int, Any] = {}
    for module in model.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            if id(weight) not in done:
                data = torch.empty(weight.shape, dtype=dtype_of(weight))
                done[id(weight)] = (nn.Parameter(data, weight.requires_grad), weight)
            setattr(module, name, done[id(weight)][0])
        for name, buffer in list(module.named_buffers(recurse=False)):
            module.register_buffer(name, torch.empty(buffer.shape, dtype=buffer.dtype))
        for name, value in list(vars(module).items()):
            if isinstance(value, Tensor):
                setattr(module, name, torch.empty(value.shape, dtype=value.dtype))
