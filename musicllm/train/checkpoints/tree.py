"""Takes a nested state apart into tensors, for safetensors, and the rest, for JSON; and back.

Nothing is pickled, so reading a state runs no code. Dictionaries, lists, tuples, strings, numbers,
booleans, None and tensors come back as they were; other values are a bug of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

TENSOR, TUPLE, PAIRS = "$tensor", "$tuple", "$pairs"
"""Keys of the dictionaries that stand for what JSON does not have."""


def split(value: Any) -> tuple[Any, dict[str, Tensor]]:
    """Return a state as JSON has it, and its tensors by their path, such as `/optimizer/a/step`.

    The containers are new; the tensors are the same ones.
    """
    tensors: dict[str, Tensor] = {}
    return _plain(value, "", tensors), tensors


def join(plain: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put together again what `split` took apart."""
    if isinstance(plain, list):
        return [join(one, tensors) for one in plain]
    if not isinstance(plain, dict):
        return plain
    if TENSOR in plain:
        return tensors[plain[TENSOR]]
    if TUPLE in plain:
        return tuple(join(plain[TUPLE], tensors))
    if PAIRS in plain:
        return {key: join(one, tensors) for key, one in plain[PAIRS]}
    return {key: join(one, tensors) for key, one in plain.items()}


def _plain(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        assert path not in tensors, f"two tensors of the state are called {path}"
        tensors[path] = value
        return {TENSOR: path}
    if isinstance(value, Mapping):
        made = {key: _plain(one, f"{path}/{key}", tensors) for key, one in value.items()}
        simple = all(isinstance(key, str) and not key.startswith("$") for key in made)
        return made if simple else {PAIRS: [[key, one] for key, one in made.items()]}
    if isinstance(value, list | tuple):
        items = [_plain(one, f"{path}/{number}", tensors) for number, one in enumerate(value)]
        return items if isinstance(value, list) else {TUPLE: items}
    assert isinstance(value, bool | int | float | str | None), (
        f"a checkpoint cannot hold the {type(value).__name__} at {path}"
    )
    return value
