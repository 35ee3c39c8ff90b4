"""The forward pass of the decoder on a micro-batch, up to the hidden states.

Axes: N tokens of the micro-batch, D width.
"""

from __future__ import annotations

from torch import Tensor, nn

from musicllm.data.batches import MicroBatch
from musicllm.model import isolation
from musicllm.model.adapters import causal_model
from musicllm.model.audio.bridge import bridge_of
from musicllm.train import group


def embed(model: nn.Module, batch: MicroBatch) -> dict[str, Tensor]:
    """Return the inputs of the decoder: token ids, or embeddings where audio is among them.

    A model that hears gets its bridge's inputs. A batch without a clip gets one of silence that no
    token belongs to, so that the bridge is part of every backward pass on every rank.
    """
    bridge = bridge_of(model)
    if bridge is None:
        assert "features" not in batch, "checks refuse features for a model of text"
        return {"input_ids": batch["input_ids"]}
    features = batch["features"]
    audio = features["audio"]
    if not len(audio):
        audio = audio.new_zeros(1, *bridge.feature_shape)
    return bridge.inputs(
        causal_model(model),
        batch["input_ids"],
        audio,
        features["clip_of_token"],
        features["place_of_token"],
    )


def hidden_states(model: nn.Module, batch: MicroBatch) -> Tensor:
    """Return the inputs of the head, [1, N, D]; documents are isolated from each other."""
    return isolation.decode(
        causal_model(model),
        embed(model, batch),
        batch["position_ids"],
        batch["cu_seq_lens"],
        most=group.most,
    )
