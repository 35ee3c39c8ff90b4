"""Writes the tensors of a model one by one, in shards with an index.

The layout is that of transformers. At most one shard is held in memory, and safetensors writes
it without a copy.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from musicllm import artifacts
from musicllm.model.weights import INDEX, SINGLE


class WeightShardWriter:
    """Collects tensors, and writes a shard before it would exceed its maximum size.

    Attributes:
        num_bytes: of all tensors so far.
        num_parameters: elements of all tensors so far.
        shards: names of the tensors in each shard.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        """Write into an existing folder; a tensor above `max_bytes` gets a shard of its own."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._pending: dict[str, Tensor] = {}
        self._pending_bytes = 0
        self.num_bytes = 0
        self.num_parameters = 0
        self.shards: list[list[str]] = []

    @property
    def names(self) -> set[str]:
        """Names of the tensors so far."""
        return {name for names in self.shards for name in names} | self._pending.keys()

    def add(self, name: str, tensor: Tensor) -> None:
        """Add a tensor, which is held until its shard is written."""
        assert name not in self._pending, f"{name} comes twice"
        if self._pending and self._pending_bytes + tensor.nbytes > self._max_bytes:
            self._write()
        self._pending[name] = tensor.contiguous()
        self._pending_bytes += tensor.nbytes
        self.num_bytes += tensor.nbytes
        self.num_parameters += tensor.numel()

    def close(self) -> None:
        """Write the last shard, name the files, and write the index."""
        self._write()
        total = len(self.shards)
        if total == 1:
            self._part(1).rename(self._folder / SINGLE)
            return
        files: dict[str, str] = {}
        for number, names in enumerate(self.shards, start=1):
            file = f"model-{number:05}-of-{total:05}.safetensors"
            self._part(number).rename(self._folder / file)
            files |= dict.fromkeys(names, file)
        sizes = {"total_parameters": self.num_parameters, "total_size": self.num_bytes}
        artifacts.write_json(self._folder / INDEX, {"metadata": sizes, "weight_map": files})

    def _write(self) -> None:
        self.shards.append(list(self._pending))
        save_file(self._pending, self._part(len(self.shards)), metadata={"format": "pt"})
        self._pending = {}
        self._pending_bytes = 0

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number}.safetensors"
