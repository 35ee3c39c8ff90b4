"""The weights of a model folder under the names of the class that runs it.

For most models these are the names in the files. Where a class of transformers runs a model that
was published with another layout, the tensors are renamed and taken apart when they are read, one
at a time, so that nothing is converted in advance and no second copy of the model is on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType
from typing import Any, Protocol

import torch
from torch import Tensor

from musicllm.errors import InputError
from musicllm.model import internlm2
from musicllm.model.weights import WeightFiles


class Weights(Protocol):
    """Named tensors in files.

    Attributes:
        folder: of the files.
        shapes: of all tensors by name, in the order of the files.
    """

    folder: Path
    shapes: dict[str, list[int]]

    def read(self, name: str) -> Tensor:
        """Return a tensor with its stored dtype."""

    def dtype(self, name: str) -> torch.dtype:
        """Return the stored dtype of a tensor."""


def open_weights(folder: Path) -> Weights:
    """Open the weights of a model folder; only headers are read.

    Raises:
        InputError: a file is missing or damaged, or does not fit config.json; the message names it.
    """
    files = WeightFiles.of_model(folder)
    published = published_config(folder)
    if published.get("model_type") == internlm2.MODEL_TYPE:
        return internlm2.InternLM2Weights(files, published)
    return files


def published_config(folder: Path) -> dict[str, Any]:
    """Return the content of config.json as it is in the folder.

    Raises:
        InputError: it is missing or damaged.
    """
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no settings of a model")
    return content


def lazy(weights: Weights) -> Mapping[str, LazyTensor]:
    """Return a state dict for transformers' `from_pretrained`, which reads tensor by tensor."""
    return {name: LazyTensor(weights, name) for name in weights.shapes}


class LazyTensor:
    """A tensor that is read when transformers takes all of it, like a slice of safetensors."""

    def __init__(self, weights: Weights, name: str) -> None:
        """Remember where the tensor is."""
        self._weights = weights
        self._name = name

    def __getitem__(self, _everything: EllipsisType) -> Tensor:
        """Read the tensor, with its stored dtype."""
        return self._weights.read(self._name)

    def get_shape(self) -> list[int]:
        """Return its shape."""
        return self._weights.shapes[self._name]
