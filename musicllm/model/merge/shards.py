"""Writing a model's tensors as they come, in files of about one size with an index.

The layout is that of transformers. No more than one file's tensors are held, and safetensors writes
them from where they are.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from musicllm import artifacts
from musicllm.model.checkpoint import INDEX, SINGLE


class ShardWriter:
    """Collects tensors, and writes a file before they would become more than a shard holds.

    Attributes:
        num_bytes: of all tensors so far.
        num_parameters: likewise, in numbers.
        shards: the names in every file that was written.
    """

    def __init__(self, folder: Path, max_bytes: float) -> None:
        """Write into a folder that exists; a tensor above `max_bytes` has a file of its own."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._held: dict[str, Tensor] = {}
        self._held_bytes = 0
        self.num_bytes = 0
        self.num_parameters = 0
        self.shards: list[list[str]] = []

    @property
    def names(self) -> set[str]:
        """Names of the tensors so far."""
        return {name for names in self.shards for name in names} | self._held.keys()

    def add(self, name: str, tensor: Tensor) -> None:
        """Take a tensor, which is kept until its file is full."""
        assert name not in self._held, f"{name} comes twice"
        if self._held and self._held_bytes + tensor.nbytes > self._max_bytes:
            self._write()
        self._held[name] = tensor.contiguous()
        self._held_bytes += tensor.nbytes
        self.num_bytes += tensor.nbytes
        self.num_parameters += tensor.numel()

    def close(self) -> None:
        """Write what is left, number the files, and write the index."""
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
        self.shards.append(list(self._held))
        save_file(self._held, self._part(len(self.shards)), metadata={"format": "pt"})
        self._held = {}
        self._held_bytes = 0

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number}.safetensors"
