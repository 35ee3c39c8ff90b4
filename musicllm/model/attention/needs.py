"""What a model asks of its attention, by inspection of its modules; the model may have no weights.

What a class passes that is not recognised here, the kernels refuse (`packing`).
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from transformers import PreTrainedModel

from musicllm.model.anatomy import inspect
from musicllm.model.architecture import attention_dropout_of, head_dim_of
from musicllm.model.attention.choosing import Needs

HEAD_DIMS = ("head_dim", "head_size", "qk_head_dim", "v_head_dim")
"""Attributes of attention modules: the dimensions of their heads."""

SOFTCAP = "attn_logit_softcapping"
"""Attribute of an attention module: its soft cap, or None."""

SINKS = "sinks"
"""Parameter of an attention module: a score per head."""


def needs_of(model: PreTrainedModel) -> Needs:
    """Return what a causal language model asks of its attention.

    Raises:
        NotAvailableError: no decoder layers are recognised.
    """
    modules = list(_attention_modules(model))
    head_dims = {
        dim
        for module in modules
        for name in HEAD_DIMS
        if isinstance(dim := getattr(module, name, None), int)
    }
    return Needs(
        head_dims=tuple(sorted(head_dims)) or (head_dim_of(model.config),) * bool(modules),
        dropout=attention_dropout_of(model.config),
        softcap=any(getattr(module, SOFTCAP, None) is not None for module in modules),
        sinks=any(name == SINKS for module in modules for name in dict(module.named_parameters())),
    )


def _attention_modules(model: PreTrainedModel) -> Iterator[nn.Module]:
    for layer in inspect(model).layers:
        for path in set(layer.mixers) - set(layer.stateful):
            yield from model.get_submodule(path).modules()
