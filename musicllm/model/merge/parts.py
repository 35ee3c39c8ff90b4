"""Runs a model with weights in memory only while they are used.

The model is built on torch's meta device. A part is a module with weights of its own, such
as one linear layer, or one that PEFT wraps; when the forward pass of the model reaches it, its
weights are read, used and freed. So a pass needs the memory of one part and of the activations.
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
"""Returns a tensor of the state dict by name, in float32 if it is floating point."""

Run = Callable[..., Tensor]
"""`run(name, part, forward, *inputs)` replaces the forward of a part; `forward` is the original."""


def lay_out(config: PreTrainedConfig) -> PreTrainedModel:
    """Build a model in float32 without weights, but with buffers computed from its configuration.

    Attention is `sdpa`, so that no mask is needed for whole texts.
    """
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation="sdpa"
        )
    for module in model.modules():
        if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
            module.to_empty(device="cpu", recurse=False)
            # private: transformers has no public way to compute the buffers of a model that it laid
            # out on the meta device; `from_pretrained` calls this, too
            model._init_weights(module)
    return model.requires_grad_(False).eval()


def parts_of(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the outermost modules that have weights of their own or are wrapped, with names."""
    has_weights = any(True for _ in module.parameters(recurse=False))
    if has_weights or isinstance(module, (BaseTunerLayer, AuxiliaryTrainingWrapper)):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from parts_of(child, f"{name}.{child_name}" if name else child_name)


def replace_forward(model: nn.Module, run: Run) -> int:
    """Replace the forward of every part by `run`, and return the number of parts."""
    parts = list(parts_of(model))
    for name, part in parts:
        part.forward = partial(run, name, part, part.forward)
    return len(parts)


def fill(part: nn.Module, name: str, read: Read) -> None:
    """Load the weights of a part."""
    weights = {leaf: read(f"{name}.{leaf}") for leaf in part.state_dict()}
    part.load_state_dict(weights, assign=True)


def empty(part: nn.Module) -> None:
    """Free the weights of a part."""
    part.to("meta")


def passing_through(read: Read, advance: Callable[[], None]) -> Run:
    """Return a `Run` that loads a part, runs it and frees it."""

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
