"""PiSSA: LoRA starts as the principal part of each matrix, and the rest of the matrix is frozen.

A matrix W becomes W - s B A, beside LoRA with the factors B and A of its largest singular values
and the scale s, so the outputs do not change. The start is kept in a file: a run that continues
must take the same part out of W, and singular vectors depend on machine and threads. What is saved
at the end is ordinary LoRA for the unchanged base, of twice the rank: s (B A - B' A'), with B' and
A' of the start.

Source: PiSSA, arXiv 2404.02948, also of the conversion.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from musicllm.errors import ArtifactError

FILE = "pissa.safetensors"
"""Name of the file of the start, in the folder of a run."""

NUM_ITERATIONS = 16
"""Of the randomised singular value decomposition. The outputs do not depend on its precision."""

NUM_SURPLUS = 8
"""Vectors beyond the rank, for the precision of the last ones (arXiv 0909.4061, section 4.2)."""

CONFIG = "adapter_config.json"


@torch.no_grad()
def start(adapted: nn.Module, file: Path, *, write: bool) -> None:
    """Move the principal part of every matrix with LoRA into LoRA.

    A surplus of the rank over the size of a matrix starts at zero, as in LoRA.

    Args:
        adapted: base with LoRA that adds nothing yet; modified in place.
        file: of the start; it is read if it is there.
        write: write the file if it is not there.

    Raises:
        ArtifactError: the file is of another adapter.
    """
    layers = dict(_layers(adapted))
    factors: Mapping[str, Tensor] = load_file(file) if file.is_file() else {}
    if not factors:
        factors = {
            f"{name}.{factor}": tensor
            for name, layer in layers.items()
            for factor, tensor in zip("AB", _principal(layer), strict=True)
        }
        if write:
            temporary = file.with_name(f".{file.name}.{os.getpid()}")
            save_file({name: tensor.contiguous() for name, tensor in factors.items()}, temporary)
            temporary.replace(file)
    expected = {
        f"{name}.{factor}": list(matrix.shape)
        for name, layer in layers.items()
        for factor, matrix in zip("AB", _factors(layer), strict=True)
    }
    if {name: list(tensor.shape) for name, tensor in factors.items()} != expected:
        raise ArtifactError(f"{file} is the start of another adapter; delete it to start again")
    for name, layer in layers.items():
        first, second = _factors(layer)
        first.copy_(factors[f"{name}.A"])
        second.copy_(factors[f"{name}.B"])
        weight = layer.get_base_layer().weight
        part = layer.scaling["default"] * second.float() @ first.float()
        weight.copy_(weight.float() - (part.T if layer.fan_in_fan_out else part))


def as_lora(folder: Path, file: Path) -> None:
    """Rewrite a saved adapter as LoRA of twice the rank for the base before `start`.

    Args:
        folder: PEFT folder.
        file: of the start.
    """
    weights = folder / "adapter_model.safetensors"
    tensors, factors = load_file(weights), load_file(file)
    for name, tensor in tensors.items():
        layer, _, factor = name.rpartition(".lora_")
        if factor == "A.weight":
            tensors[name] = torch.cat([tensor, factors[f"{layer}.A"]])
        elif factor == "B.weight":
            tensors[name] = torch.cat([tensor, -factors[f"{layer}.B"]], dim=1)
    save_file(tensors, weights, metadata={"format": "pt"})
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    growth = math.sqrt(2) if settings["use_rslora"] else 2  # so that the scale stays
    settings |= {"r": 2 * settings["r"], "lora_alpha": growth * settings["lora_alpha"]}
    (folder / CONFIG).write_text(json.dumps(settings, indent=2, sort_keys=True), encoding="utf-8")


def _layers(adapted: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the layers with LoRA by name."""
    from peft.tuners.lora import LoraLayer

    for name, module in adapted.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def _factors(layer: Any) -> tuple[Tensor, Tensor]:
    """Return A, [r, inputs], and B, [outputs, r]."""
    return layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data


def _principal(layer: Any) -> tuple[Tensor, Tensor]:
    """Return the factors of the largest singular values, without the scale of LoRA."""
    first, second = (matrix.clone() for matrix in _factors(layer))
    weight = layer.get_base_layer().weight.float()
    weight = weight.T if layer.fan_in_fan_out else weight
    rank = min(len(first), *weight.shape)
    num_vectors = min(rank + NUM_SURPLUS, *weight.shape)
    left, values, right = torch.svd_lowrank(weight, num_vectors, niter=NUM_ITERATIONS)
    roots = (values[:rank] / layer.scaling["default"]).sqrt()
    first[:rank] = roots[:, None] * right[:, :rank].T
    second[:, :rank] = left[:, :rank] * roots
    return first, second
