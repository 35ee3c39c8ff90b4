"""Runs a model with weights in memory only while they are used.

The model is built on torch's meta device. A part is a module with weights of its own, such
as one linear layer, or one that PEFT wraps; when the forward pass of the model reaches it, its
weights are read, used and freed. So a pass needs the memory of one part and of the activations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.other import AuxiliaryTrainingWrapper
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from musicllm.errors import StageError
from musicllm.model.anatomy import inspect
from musicllm.model.direct import layers_read_by

Read = Callable[[str], Tensor]
"""Returns a tensor of the state dict by name, in float32 if it is floating point."""

Run = Callable[..., Any]
"""`run(name, part, forward, *inputs)` replaces the forward of a part; `forward` is the original."""


def lay_out(config: PreTrainedConfig) -> PreTrainedModel:
    """Build a model in float32 without weights, but with buffers computed from its configuration.

    Attention is `eager`, which every class has and which follows all of its settings.
    """
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, attn_implementation="eager"
        )
    for module in model.modules():
        if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
            module.to_empty(device="cpu", recurse=False)
    for module in model.modules():  # some compute the buffers of modules below them
        # private: transformers has no public way to compute the buffers of a model that it laid
        # out on the meta device; `from_pretrained` calls this, too
        model._init_weights(module)
    return model.requires_grad_(False).eval()


def parts_of(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the outermost modules that have weights of their own or are wrapped, with names.

    A module that reads the weights of layers below it is a part as a whole.
    """
    is_wrapped = isinstance(module, (BaseTunerLayer, AuxiliaryTrainingWrapper))
    if own_state(module) or is_wrapped or layers_read_by(module):
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from parts_of(child, f"{name}.{child_name}" if name else child_name)


def own_state(module: nn.Module) -> dict[str, Tensor]:
    """Return parameters and stored buffers of a module by name, without those of its children."""
    return {name: tensor for name, tensor in module.state_dict().items() if "." not in name}


def is_adapted(part: nn.Module) -> bool:
    """Return whether PEFT has wrapped a part, or a module in it."""
    return any(
        isinstance(module, (BaseTunerLayer, AuxiliaryTrainingWrapper)) for module in part.modules()
    )


def enable(part: nn.Module, is_enabled: bool) -> None:
    """Turn everything that PEFT has added to a part on or off."""
    for module in part.modules():
        if isinstance(module, (BaseTunerLayer, AuxiliaryTrainingWrapper)):
            module.enable_adapters(is_enabled)


def merged(part: Any) -> nn.Module:
    """Merge what PEFT has added to a part into its weights, and return the part without it."""
    if isinstance(part, BaseTunerLayer):
        for module in part.modules():  # two tensors of one module have a wrapper in the other's
            if isinstance(module, BaseTunerLayer):
                module.merge()
        layer: nn.Module = part.get_base_layer()
        return layer
    if isinstance(part, AuxiliaryTrainingWrapper):
        plain: nn.Module = part.unload_and_optionally_merge_module(
            merge=True, safe_merge=False, adapter_names=None
        )
        return plain
    for name, child in part.named_children():
        setattr(part, name, merged(child))
    return part  # type: ignore[no-any-return]


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


def refuse_meta(model: nn.Module, inputs: Any) -> None:
    """Reject inputs without elements.

    Raises:
        StageError: the model took them to the device of a weight that was not there yet.
    """
    if any(isinstance(value, Tensor) and value.is_meta for value in inputs):
        raise StageError(
            f"{type(model).__name__} looks at weights before it uses them; this architecture "
            f"cannot be merged here"
        )


def empty(part: nn.Module) -> None:
    """Free the weights of a part."""
    part.to("meta")


def routers_of(model: PreTrainedModel) -> set[str]:
    """Return the names of the modules that choose experts."""
    return {matrix.path for matrix in inspect(model).matrices("router")}


def passing_through(
    read: Read, advance: Callable[[], None], replaced: Mapping[str, Any] | None = None
) -> Run:
    """Return a `Run` that loads a part, runs it and frees it.

    Args:
        read: of the weights.
        advance: called for every part.
        replaced: outputs by name of part, which are returned instead of the part's own.
    """

    def run(name: str, part: nn.Module, forward: Run, *inputs: Any, **options: Any) -> Any:
        fill(part, name, read)
        outputs = forward(*inputs, **options)
        empty(part)
        advance()
        return (replaced or {}).get(name, outputs)

    return run


def logits_of(model: nn.Module, ids: Tensor) -> Tensor:
    """Return the logits, float32 [B, T, V], of token ids [B, T]."""
    with torch.no_grad():
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits
