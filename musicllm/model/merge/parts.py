"""A model whose weights are in memory only while they are used.

The model is laid out on torch's meta device. A part is a module that holds weights of its own, such
as one linear layer, or one that PEFT wraps; when the model's own forward pass comes to it, its
weights are read, used and dropped. So a pass needs the memory of one part and of the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

Read = Callable[[str], Tensor]
"""Gives the tensor of a name in the model's state, float32 where it has a fraction."""

Run = Callable[..., Tensor]
"""`run(name, part, forward, *inputs)`: does a part's work, with `forward` as it was before."""


def lay_out(config: PreTrainedConfig) -> PreTrainedModel:
    """Return a model in float32 without weights, but with what it computes from its configuration.

    Attention is torch's, so that no mask is needed for whole texts.
    """
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation="sdpa"
        )
    for module in model.modules():
        if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
            module.to_empty(device="cpu", recurse=False)
            model._init_weights(module)  # as transformers does after it loads on the meta device
    return model.requires_grad_(False).eval()


def parts_of(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the outermost modules that hold weights of their own or are wrapped, with names."""
    holds_weights = any(True for _ in module.parameters(recurse=False))
    if holds_weights or isinstance(module, (BaseTunerLayer, AuxiliaryTrainingWrapper)):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from parts_of(child, f"{name}.{child_name}" if name else child_name)


def replace_forward(model: nn.Module, run: Run) -> int:
    """Let `run` do the work of every part, and return how many there are."""
    parts = list(parts_of(model))
    for name, part in parts:
        part.forward = partial(run, name, part, part.forward)
    return len(parts)


def fill(part: nn.Module, name: str, read: Read) -> None:
    """Give a part its weights."""
    weights = {leaf: read(f"{name}.{leaf}") for leaf in part.state_dict()}
    part.load_state_dict(weights, assign=True)


def empty(part: nn.Module) -> None:
    """Take a part's weights away."""
    part.to("meta")


def passing_through(read: Read, advance: Callable[[], None]) -> Run:
    """Return what fills a part, runs it and empties it."""

    def run(name: str, part: nn.Module, forward: Run, *inputs: Any, **options: Any) -> Tensor:
        fill(part, name, read)
        outputs = forward(*inputs, **options)
        empty(part)
        advance()
        return outputs

    return run


def logits_of(model: nn.Module, ids: Tensor) -> Tensor:
    """Return the logits, float32 [B, T, V], of token ids [B, T]."""
    with torch.no_grad():
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits
