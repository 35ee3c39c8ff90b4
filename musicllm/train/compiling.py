"""torch.compile where training can use it: one decoder layer at a time.

All layers share their code, so the compiler works once for all of them, on symbolic lengths, as
no two batches hold the same number of tokens. Attention over documents of different lengths steps
out of the graph on a CPU (`model.attention.kernels.varlen_sdpa`); the norms, rotary positions and
feed-forward blocks around it are fused. What this gains and costs is in docs/DECISIONS.md.
"""

from __future__ import annotations

from torch import nn

from musicllm.model.adapters import causal_model


def compile_layers(model: nn.Module, *, backend: str = "inductor") -> None:
    """Compile the decoder layers of a model in place; the work is done in the first step.

    Args:
        model: a transformers or PEFT model.
        backend: torch.compile's.
    """
    for layer in causal_model(model).get_decoder().layers:
        layer.compile(dynamic=True, backend=backend)
