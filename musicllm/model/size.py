"""Counts the parameters of a model, in total and trained, before any weight exists.

The model is built on torch's meta device: shapes only, without memory or download. LoRA is
counted from the shapes of its targets. The plan estimates bytes of activations and of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from musicllm.model import adapters, base
from musicllm.model.anatomy import PARTS
from musicllm.model.spec import AdapterSpec, ModelSpec


@dataclass(frozen=True)
class Size:
    """Parameter counts; tied matrices count once.

    Attributes:
        num_parameters: of the base.
        num_trainable: all of the base (`full`), or LoRA and the matrices trained beside it.
        num_frozen: not trained. LoRA leaves the whole base frozen, since PEFT trains
            copies of the embeddings and the head, so `num_trainable + num_frozen` can exceed
            `num_parameters`.
        num_hidden: of `num_trainable`, matrices that are neither embeddings nor the head.
        parts: of `num_parameters`: embeddings, attention, mlp, norms, head (0 if tied); and
            adapter, the LoRA parameters.
    """

    num_parameters: int
    num_trainable: int
    num_frozen: int
    num_hidden: int
    parts: Mapping[str, int]


def count(spec: ModelSpec, adapter: AdapterSpec, *, vocab_size: int | None = None) -> Size:
    """Count parameters without weights; takes about a second for 7 billion parameters.

    LoRA on a linear layer has r x (inputs + outputs) parameters (arXiv 2106.09685), and DoRA one
    more per output (arXiv 2402.09353).

    Args:
        spec: the architecture.
        adapter: what is trained.
        vocab_size: tokens, if a tokenizer decides; None for the option's.

    Raises:
        ConfigError: as in `adapters.attach` and `base.build`.
    """
    config = base.architecture_of(spec, vocab_size=vocab_size)
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    parts = _parts(model)
    whole = sum(parts.values())
    if adapter.kind != "lora":
        trained = whole if adapter.kind == "full" else 0
        matrices = parts["attention"] + parts["mlp"] if trained else 0
        return Size(whole, trained, whole - trained, matrices, {**parts, "adapter": 0})
    adapters.check_targets(model, adapter)
    targets = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and name.split(".")[-1] in adapter.target_modules
    ]
    assert adapter.r is not None, "LoRA without a rank passed the checks"
    matrices = adapter.r * sum(layer.in_features + layer.out_features for layer in targets)
    lora = matrices + sum(module.out_features for module in targets if adapter.use_dora)
    copies = sum(
        parameter.numel()
        for module in adapters.trained_whole(model, adapter)
        for parameter in module.parameters()
    )
    return Size(whole, lora + copies, whole, matrices, {**parts, "adapter": lora})


def _parts(model: PreTrainedModel) -> dict[str, int]:
    parts = dict.fromkeys(("embeddings", "attention", "mlp", "norms", "head"), 0)
    for name, parameter in model.named_parameters():
        parts[_part_of(name)] += parameter.numel()
    return parts


def _part_of(name: str) -> str:
    matches = [part for mark, part in PARTS.items() if mark in name]
    assert matches, f"{name} belongs to no part of a model"
    return matches[0]
