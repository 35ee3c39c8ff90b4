"""Reads tensors from safetensors files, one at a time.

A file is memory-mapped for one tensor only, so that pages of the others do not stay in
the process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from musicllm.errors import InputError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


class WeightFiles:
    """Named tensors in one or more safetensors files.

    Attributes:
        folder: of the files.
        shapes: of all tensors by name, in the order of the files.
        dtypes: of all tensors by name, as safetensors writes them, such as BF16.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        """Read the headers of all files.

        Args:
            files: tensor name -> its file, or `{"": file}` for all tensors of one file.

        Raises:
            InputError: a file is missing or damaged, or lacks a tensor; the message names them.
        """
        self.folder = next((path.parent for path in files.values()), Path())
        self.shapes: dict[str, list[int]] = {}
        self.dtypes: dict[str, str] = {}
        self._files: dict[str, Path] = {}
        for path in dict.fromkeys(files.values()):
            for name, (shape, dtype) in _header(path).items():
                self.shapes[name], self.dtypes[name] = shape, dtype
                self._files[name] = path
        for name, path in files.items():
            if name and self._files.get(name) != path:
                raise InputError(f"{path} has no tensor {name}, though the index says so")

    @classmethod
    def of_model(cls, folder: Path) -> WeightFiles:
        """Open the weights of a model folder: one file, or shards with their index.

        Raises:
            InputError: as `WeightFiles`, or there are no weights.
        """
        if (folder / SINGLE).is_file():
            return cls({"": folder / SINGLE})
        if not (folder / INDEX).is_file():
            raise InputError(
                f"{folder} has no weights: neither {SINGLE} nor {INDEX}{_instead(folder)}"
            )
        try:
            entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
            return cls({name: folder / file for name, file in entries.items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{folder / INDEX} is not an index of shards: {error!r}") from None

    def read(self, name: str) -> Tensor:
        """Return a tensor, memory-mapped from its file, with its stored dtype."""
        with safe_open(self._files[name], framework="pt") as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor

    def dtype(self, name: str) -> torch.dtype:
        """Return the stored dtype of a tensor."""
        return self.read(name).dtype


def cached_folder(path: str | Path, revision: str | None) -> Path | None:
    """Return the folder of a model, or None for a hub model that is not in the cache."""
    if Path(path).is_dir():
        return Path(path)
    try:
        config = try_to_load_from_cache(str(path), "config.json", revision=revision)
    except HFValidationError:  # a path that does not exist
        return None
    return Path(config).parent if isinstance(config, str) else None


def _header(path: Path) -> dict[str, tuple[list[int], str]]:
    if not path.is_file():
        raise InputError(
            f"{path} is missing; without it the weights are not complete{_instead(path.parent)}"
        )
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {name: (part.get_shape(), part.get_dtype()) for name, part in slices.items()}
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}; copy it again") from None


def _instead(folder: Path) -> str:
    """Return a hint about pickled weights in the folder."""
    pickled = sorted(
        file.name
        for pattern in ("pytorch_model*.bin", "adapter_model.bin")
        for file in folder.glob(pattern)
    )
    if not pickled:
        return ""
    return (
        f"; {pickled[0]} is a pickle, which can run code when it is read: convert it with the "
        f"program that made it (save_pretrained writes safetensors)"
    )
