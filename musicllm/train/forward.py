"""The forward pass of the decoder on a micro-batch, up to the hidden states.

Axes: N tokens of the micro-batch, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from musicllm.data.batches import MicroBatch
from musicllm.model import isolation
from musicllm.model.adapters import causal_model
from musicllm.train import group


def embed(batch: MicroBatch) -> dict[str, Tensor]:
    """Return the inputs of the decoder: token ids.

    Models with audio will return `inputs_embeds` here, computed from tokens and `features`.
    """
    assert "features" not in batch, "no model takes features beside tokens yet"
    return {"input_ids": batch["input_ids"]}


def hidden_states(model: nn.Module, batch: MicroBatch) -> Tensor:
    """Return the inputs of the head, [1, N, D]; documents are isolated from each other."""
    return isolation.decode(
        causal_model(model),
        embed(batch),
        batch["position_ids"],
        batch["cu_seq_lens"],
        most=group.most,
    )
