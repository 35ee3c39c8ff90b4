"""The weights of a model folder under the names of the class that runs it.

For most models these are the names in the files. Where a class of transformers runs a model that
was published with another layout, the tensors are renamed and taken apart when they are read, one
at a time, so that nothing is converted in advance and no second copy of the model is on the disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any, Protocol

import torch
from huggingface_hub import snapshot_download
from torch import Tensor

from musicllm.model import internlm2, published
from musicllm.model.weights import WeightFiles

DOWNLOADED = (
    "*.json", "*.jinja", "model*.safetensors", "tokenizer.model", "merges.txt", "vocab.txt", "*.py",
    "LICENSE*", "LICENCE*", "NOTICE*",
)  # fmt: skip
"""Files of a repository that a merge or an export needs; code is only ever copied."""


LANGUAGE_MODEL = re.compile(r"^(?:model\.)?language_model\.(?:(?P<head>lm_head\.)|(?:model\.)?)")
"""Start of the names of the text decoder in the files of a multimodal model."""

TOWER = re.compile(
    r"^(?:model\.)?(?!language_model)\w*(?:vision|visual|audio|image|projector|patch|mm_)\w*\."
)
"""Start of the names in a multimodal model that are not of its text decoder."""


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


def open_weights(folder: Path, ignored: Sequence[str] = ()) -> Weights:
    """Open the weights of a model folder; only headers are read.

    Args:
        folder: with config.json.
        ignored: regular expressions of tensors that are no part of the model.

    Raises:
        InputError: a file is missing or damaged, or does not fit config.json; the message names it.
    """
    files = WeightFiles.of_model(folder)
    files.shapes = {
        name: shape
        for name, shape in files.shapes.items()
        if not any(re.search(pattern, name) for pattern in ignored)
    }
    config = published.read(folder)
    if config["model_type"] == internlm2.MODEL_TYPE:
        return internlm2.InternLM2Weights(files, config)
    return DecoderWeights(files) if "text_config" in config else files


def has_own_layout(config: Mapping[str, Any]) -> bool:
    """Return whether a model's files have other names than the class that runs it.

    Args:
        config: content of its config.json.
    """
    return config["model_type"] == internlm2.MODEL_TYPE or "text_config" in config


class DecoderWeights:
    """The text decoder in the weights of a multimodal model, under its names as a class alone.

    Attributes:
        folder: of the files.
        shapes: of the tensors that are not of a tower by name, in the order of the files.
        towers: names of the tensors that are left out.
    """

    def __init__(self, files: WeightFiles) -> None:
        """Name the tensors of the files."""
        self.folder = files.folder
        self.towers = [name for name in files.shapes if TOWER.match(name)]
        self._files = files
        self._stored = {
            LANGUAGE_MODEL.sub(_as_decoder, name): name
            for name in files.shapes
            if not TOWER.match(name)
        }
        self.shapes = {name: files.shapes[stored] for name, stored in self._stored.items()}

    def read(self, name: str) -> Tensor:
        """Return a tensor of the decoder, with its stored dtype."""
        return self._files.read(self._stored[name])

    def dtype(self, name: str) -> torch.dtype:
        """Return the stored dtype of a tensor."""
        return self._files.dtype(self._stored[name])


def _as_decoder(match: re.Match[str]) -> str:
    return "lm_head." if match["head"] else "model."


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
