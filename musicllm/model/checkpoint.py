"""The weights of a model folder under the names of the class that runs it.

For most models these are the names in the files. Where a class of transformers runs a model that
was published with another layout, the tensors are renamed and taken apart when they are read, one
at a time, so that nothing is converted in advance and no second copy of the model is on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType
from typing import Any, Protocol

import torch
from huggingface_hub import snapshot_download
from torch import Tensor

from musicllm.model import internlm2, published
from musicllm.model.weights import WeightFiles

DOWNLOADED = ("*.json", "model*.safetensors", "tokenizer.model", "*.py")
"""Files of a repository that a merge needs; code is only ever copied."""


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
    config = published.read(folder)
    return internlm2.InternLM2Weights(files, config) if has_own_layout(config) else files


def has_own_layout(config: Mapping[str, Any]) -> bool:
    """Return whether a model's files have other names than the class that runs it.

    Args:
        config: content of its config.json.
    """
    return bool(config["model_type"] == internlm2.MODEL_TYPE)


def local_folder(path: str | Path, revision: str | None) -> Path:
    """Return the folder of a model; one of the hub is downloaded or taken from the cache.

    Raises:
        OSError: the hub cannot be reached.
    """
    if Path(path).is_dir():
        return Path(path)
    return Path(snapshot_download(str(path), revision=revision, allow_patterns=list(DOWNLOADED)))


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
