"""Copies a model folder: every weight, and the files beside them."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musicllm import artifacts, console
from musicllm.errors import InputError, StageError
from musicllm.model import base, published, tensors
from musicllm.model.merge.shards import WeightShardWriter
from musicllm.model.weights import INDEX, WeightFiles

BESIDE = (
    "*.json", "*.jinja", "*.model", "*.tiktoken", "*.py", "merges.txt", "vocab.txt",
    "additional_chat_templates/*", "LICENSE*", "LICENCE*", "NOTICE*",
)  # fmt: skip
"""Files of a model's folder beside its weights; README.md is written anew."""

NOT_COPIED = (artifacts.MANIFEST, INDEX)


@dataclass(frozen=True)
class Copied:
    """The size of a copy.

    Attributes:
        num_parameters: elements of all tensors.
        num_bytes: of all tensors.
        num_shards: weight files.
        dtypes: of the tensors, in order.
    """

    num_parameters: int
    num_bytes: int
    num_shards: int
    dtypes: tuple[str, ...]


def copy_model(
    source: Path,
    folder: Path,
    *,
    dtype: str,
    max_shard_gb: float,
    ignored_tensors: Sequence[str] = (),
) -> Copied:
    """Copy a model into an existing empty folder, and compare each tensor with its original.

    Memory: one shard. The weights are read twice and written once.

    Args:
        source: folder of a whole model.
        folder: of the copy.
        dtype: of the floating-point weights: float32, float16, bfloat16, or auto (as stored).
        max_shard_gb: size of a weight file, in 10^9 bytes.
        ignored_tensors: regular expressions of stored tensors that are left out.

    Raises:
        InputError: the model cannot be read, or a weight is too large for the dtype.
        StageError: a tensor of the copy differs, so the disk is damaged.
    """
    target = None if dtype == "auto" else getattr(torch, dtype)
    weights = WeightFiles.of_model(source)
    ignored = [n for n in weights.shapes if any(re.search(p, n) for p in ignored_tensors)]
    names = [name for name in weights.shapes if name not in ignored]
    if ignored:
        console.note(
            f"{len(ignored)} tensors of {source} are left out, such as {min(ignored)}: see "
            f"model.ignored_tensors"
        )
    writer = WeightShardWriter(folder, max_shard_gb * 1e9)
    with console.progress("copying", len(names), "tensor") as advance:
        for name in names:
            writer.add(name, _cast(source, name, weights.read(name), target))
            advance()
    writer.close()
    copy_files_beside(source, folder, dtype=target)
    copy = WeightFiles.of_model(folder)
    for name in names:
        expected = _cast(source, name, weights.read(name), target)
        if not torch.equal(copy.read(name), expected):
            raise StageError(
                f"{name} in {folder} is not what was written, so the disk may be damaged; run the "
                f"same command again"
            )
    dtypes = sorted({str(copy.dtype(name)).removeprefix("torch.") for name in names})
    return Copied(writer.num_parameters, writer.num_bytes, len(writer.shards), tuple(dtypes))


def copy_files_beside(source: Path, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Copy configuration, tokenizer, template, code and licence files.

    Args:
        source: folder of a whole model.
        folder: of the copy.
        dtype: new dtype of the weights, for config.json; None for no change.

    Raises:
        InputError: as `base.load_tokenizer`.
    """
    for file in files_beside(source):
        target = folder / file.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, target)
    if not (folder / "tokenizer.json").is_file():  # a slow tokenizer, which is converted
        base.load_tokenizer(source).save_pretrained(folder)
    if dtype is not None:
        _write_dtype(folder / published.CONFIG, str(dtype).removeprefix("torch."))


def files_beside(source: Path) -> Iterator[Path]:
    """Yield the files of a model's folder beside its weights."""
    for pattern in BESIDE:
        for file in sorted(source.glob(pattern)):
            if file.is_file() and file.name not in NOT_COPIED:
                yield file


def _cast(source: Path, name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return a tensor in a dtype; integers stay as they are.

    Raises:
        InputError: an element is not finite, or is too large for the dtype.
    """
    tensors.refuse_not_finite(source, [(name, tensor)])
    if dtype is None or not tensor.is_floating_point():
        return tensor
    cast = tensor.to(dtype)
    if not tensors.is_finite(cast):
        short = str(dtype).removeprefix("torch.")
        raise InputError(
            f"{name} of {source} has elements of up to {float(tensor.abs().max()):.3g}, which "
            f"export.dtype={short} cannot hold; use bfloat16 or auto"
        )
    return cast


def _write_dtype(path: Path, dtype: str) -> None:
    """Change the dtype in a config.json, also of the text decoder of a multimodal model."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    for part in (content, content.get("text_config", {})):
        for name in {"dtype", "torch_dtype"} & part.keys():
            part[name] = dtype
    content["dtype"] = dtype
    content.pop("torch_dtype", None)
    artifacts.write_json(path, content)
