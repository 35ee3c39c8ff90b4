"""Splits a nested state into tensors, for safetensors, and the rest, for JSON; and joins them.

Nothing is pickled, so reading a state runs no code. Dictionaries, lists, tuples, strings, numbers,
booleans, None and tensors are restored exactly; other values are a bug of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

TENSOR, TUPLE, PAIRS = "$tensor", "$tuple", "$pairs"
"""Keys of the dictionaries that represent values which JSON lacks."""


def split(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a state as JSON values, and its tensors by path, such as `/optimizer/a/step`.

    Containers are copied, tensors are not.
    """
    tensors: dict[str, Tensor] = {}
    return _plain(value, "", tensors), tensors


def join(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Return the state from the two results of `split`."""
    if isinstance(plain, list):
        return [join(item, tensors) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if TENSOR in plain:
        return tensors[plain[TENSOR]]
    if TUPLE in plain:
        return tuple(join(plain[TUPLE], tensors))
    if PAIRS in plain:
        return {key: join(item, tensors) for key, item in plain[PAIRS]}
    return {key: join(item, tensors) for key, item in plain.items()}


def _plain(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        assert path not in tensors, f"two tensors of the state are called {path}"
        tensors[path] = value
        return {TENSOR: path}
    if isinstance(value, Mapping):
        members = {key: _plain(item, f"{path}/{key}", tensors) for key, item in value.items()}
        simple = all(isinstance(key, str) and not key.startswith("$") for key in members)
        return members if simple else {PAIRS: [[key, item] for key, item in members.items()]}
    if isinstance(value, list | tuple):
        items = [_plain(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
        return items if isinstance(value, list) else {TUPLE: items}
    assert isinstance(value, bool | int | float | str | None), (
        f"a checkpoint cannot hold the {type(value).__name__} at {path}"
    )
    return value
