"""What every bridge has: its place in the model, and the inputs of the decoder.

Axes: B rows, T tokens, C clips of a batch, W width of the decoder.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from musicllm.errors import NotAvailableError
from musicllm.model.anatomy import decoder_of
from musicllm.model.audio.facts import BridgeFacts, DecoderShape

ATTRIBUTE = "audio_bridge"
"""Of a causal model: its bridge."""

NONE = -1
"""In `clip_of_token`: a token of a document without audio; in `place_of_token`: a token of text."""


class Bridge(nn.Module):
    """A bridge of one kind.

    Attributes:
        facts: what it was built from, by `bundle.build`.
        feature_shape: of the features of a clip.
        num_tokens: see `BridgeKind.num_tokens`.
    """

    facts: BridgeFacts
    feature_shape: tuple[int, int]
    num_tokens: int = 0

    @abstractmethod
    def inputs(
        self,
        causal: Any,
        input_ids: Tensor,
        audio: Tensor,
        clip_of_token: Tensor,
        place_of_token: Tensor,
    ) -> dict[str, Tensor]:
        """Return the inputs of the decoder, and prepare it for one forward pass on them.

        What is prepared stays until the next call, since activation checkpointing computes layers
        again in the backward pass.

        Args:
            causal: the transformers model that the bridge is attached to.
            input_ids: int64 [B, T].
            audio: float [C, *feature_shape]; C may be 0.
            clip_of_token: int64 [B, T], index into `audio`, or `NONE`.
            place_of_token: int64 [B, T]; which of its clip's `num_tokens` places a token is, or
                `NONE` for a token of text.

        Returns:
            `input_ids` [B, T] or `inputs_embeds` [B, T, W].
        """

    @abstractmethod
    def listening(
        self, causal: Any, features: Tensor, first_place: int
    ) -> AbstractContextManager[None]:
        """Return a context in which every pass of a causal model hears one clip.

        In it the model takes token ids as a model of text does, with caches and in any batch. Its
        prompts have the places of `num_tokens`, if any, from `first_place` on, and a pass that
        begins a text holds all of them.

        Args:
            causal: the transformers model that the bridge is attached to.
            features: float [*feature_shape] of the clip.
            first_place: see above.
        """


def attach(causal: Any, bridge: Bridge) -> None:
    """Make a bridge part of a causal model, on its device; in float32, whatever its dtype."""
    device = causal.get_input_embeddings().weight.device
    setattr(causal, ATTRIBUTE, bridge.to(device, torch.float32))


def detach(causal: Any) -> None:
    """Take the bridge from a transformers model, if it has one."""
    if getattr(causal, ATTRIBUTE, None) is not None:
        delattr(causal, ATTRIBUTE)


def bridge_of(model: Any) -> Bridge | None:
    """Return the bridge of a transformers or PEFT model, or None for a model of text."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    return getattr(causal, ATTRIBUTE, None)


def shape_of(causal: Any) -> DecoderShape:
    """Return the shape of a decoder.

    Raises:
        NotAvailableError: its configuration does not say the heads.
    """
    config = causal.config.get_text_config()
    heads = getattr(config, "num_attention_heads", None)
    if not isinstance(heads, int):
        raise NotAvailableError(
            f"{type(causal).__name__} does not say its attention heads, which audio needs"
        )
    return DecoderShape(
        width=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_heads=heads,
        num_kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
    )


def attention_modules(causal: Any, number: int) -> list[Any]:
    """Return the attention of the last `number` layers, which have `v_proj` and `o_proj`.

    Raises:
        NotAvailableError: the class has other parts.
    """
    layers = list(getattr(decoder_of(causal), "layers", [None]))[-number:]
    modules: list[Any] = [getattr(layer, "self_attn", None) for layer in layers]
    for module in modules:
        if not (hasattr(module, "v_proj") and hasattr(module, "o_proj")):
            raise NotAvailableError(
                f"audio.bridge=gated_prefix needs layers with self_attn.v_proj and o_proj, as "
                f"Llama has them, which {type(causal).__name__} has not; use audio=projector"
            )
    return modules
