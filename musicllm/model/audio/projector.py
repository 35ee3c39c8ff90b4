"""A projector: averaged frames of the encoder become tokens of the sequence.

A multi-layer perceptron makes embeddings of F frames; they stand at F places of the document, in
front of its text, and are attended to as any token. The design is that of Qwen2-Audio (arXiv
2407.10759) and LLaVA (arXiv 2304.08485), for any causal LM.

Axes: B rows, T tokens, C clips of a batch, F frames, W width of the decoder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from musicllm.model.anatomy import decoder_of
from musicllm.model.audio.bridge import NONE, Bridge
from musicllm.model.audio.facts import DecoderShape


class Projector(Bridge):
    """See the module."""

    def __init__(
        self,
        shape: DecoderShape,
        feature_shape: tuple[int, int],
        *,
        hidden_width: int | None = None,
    ) -> None:
        """Build it with random weights.

        Args:
            shape: of the decoder.
            feature_shape: frames of a clip, and their width.
            hidden_width: of the perceptron; None for the decoder's.
        """
        super().__init__()
        self.feature_shape = feature_shape
        self.num_tokens = feature_shape[0]
        hidden = hidden_width or shape.width
        self.norm = nn.LayerNorm(feature_shape[1])
        self.expand = nn.Linear(feature_shape[1], hidden)
        self.project = nn.Linear(hidden, shape.width)

    def tokens(self, audio: Tensor) -> Tensor:
        """Return the embeddings of clips, [C, F, W]."""
        normed = self.norm(audio.to(self.expand.weight.dtype))
        embedded: Tensor = self.project(nn.functional.gelu(self.expand(normed)))
        return embedded

    def inputs(
        self,
        causal: Any,
        input_ids: Tensor,
        audio: Tensor,
        clip_of_token: Tensor,
        place_of_token: Tensor,
    ) -> dict[str, Tensor]:
        """See `Bridge`. Cost: F more tokens for each document."""
        embeddings = causal.get_input_embeddings()(input_ids)
        is_audio = place_of_token != NONE
        if not len(audio):
            assert not is_audio.any(), "places of audio without features"
            return {"inputs_embeds": embeddings}
        tokens = self.tokens(audio).to(embeddings.dtype)
        chosen = tokens[clip_of_token.clamp(min=0), place_of_token.clamp(min=0)]
        return {"inputs_embeds": torch.where(is_audio[..., None], chosen, embeddings)}

    @contextmanager
    def listening(self, causal: Any, features: Tensor, first_place: int) -> Iterator[None]:
        """See `Bridge`."""
        tokens = self.tokens(features[None].to(self.expand.weight.device))[0]
        end = first_place + self.num_tokens

        def put(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
            cache = named.get("past_key_values")
            if cache is not None and cache.get_seq_length():
                return None  # what begins the texts is in the cache
            ids = inputs[0] if inputs else named["input_ids"]
            if ids.shape[1] < end:
                return None  # no prompt: places stand in every one
            embeddings = causal.get_input_embeddings()(ids)
            embeddings[:, first_place:end] = tokens.to(embeddings.dtype)
            return (), {**named, "input_ids": None, "inputs_embeds": embeddings}

        handle = decoder_of(causal).register_forward_pre_hook(put, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
