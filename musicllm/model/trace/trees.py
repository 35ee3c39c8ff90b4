"""Tensors in the nested arguments and results of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map


def tensors_in(value: Any) -> list[Tensor]:
    """Return the tensors of nested lists, tuples and dictionaries, in their order."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """Return the same structure with the result of a function for every leaf."""
    return tree_map(function, value)
