"""Frames of the encoder as tokens of the sequence, as Qwen2-Audio (arXiv 2407.10759) has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.model.audio.bridges import BRIDGES, BridgeKind
from musicllm.model.audio.facts import DecoderShape

if TYPE_CHECKING:
    from musicllm.model.audio.bridge import Bridge


class ProjectorKind(BridgeKind):
    """A multi-layer perceptron from frames to embeddings, for any causal LM."""

    name = "projector"
    pooling = "frames"
    options: ClassVar[Mapping[str, type]] = {"hidden_width": int}

    def num_tokens(self, feature_shape: tuple[int, int]) -> int:
        """See `BridgeKind`."""
        return feature_shape[0]

    def build(
        self, shape: DecoderShape, feature_shape: tuple[int, int], options: Mapping[str, Any]
    ) -> Bridge:
        """See `BridgeKind`."""
        from musicllm.model.audio.projector import Projector

        return Projector(shape, feature_shape, **options)


BRIDGES.register(ProjectorKind())
