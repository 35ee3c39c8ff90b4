"""torch.compile for training: one decoder layer at a time.

All layers share their code, so it is compiled once, with symbolic lengths, since the number of
tokens differs between batches. Attention is a graph break on a CPU
(`model.attention.kernels.varlen_sdpa`); the norms, rotary positions and feed-forward blocks around
it are fused. For gains and costs see docs/DECISIONS.md.
"""

from __future__ import annotations

from torch import nn

from musicllm.model.adapters import causal_model
from musicllm.model.anatomy import inspect


def compile_layers(model: nn.Module, *, backend: str = "inductor") -> None:
    """Compile the decoder layers of a model in place; compilation happens in the first step.

    Args:
        model: a transformers or PEFT model.
        backend: torch.compile's.
    """
    causal = causal_model(model)
    for layer in inspect(causal).layers:
        causal.get_submodule(layer.path).compile(dynamic=True, backend=backend)
