"""The bridge of MU-LLaMA (arXiv 2308.11276), after LLaMA-Adapter (arXiv 2303.16199)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.model.audio.bridges import BRIDGES, BridgeKind
from musicllm.model.audio.facts import DecoderShape

if TYPE_CHECKING:
    from musicllm.model.audio.bridge import Bridge


class GatedPrefixKind(BridgeKind):
    """One vector for a clip, added with gates to the attention of the top layers."""

    name = "gated_prefix"
    pooling = "layers"
    options: ClassVar[Mapping[str, type]] = {"num_layers": int, "num_blocks": int}

    def num_tokens(self, feature_shape: tuple[int, int]) -> int:
        """See `BridgeKind`."""
        del feature_shape
        return 0

    def build(
        self, shape: DecoderShape, feature_shape: tuple[int, int], options: Mapping[str, Any]
    ) -> Bridge:
        """See `BridgeKind`."""
        from musicllm.model.audio.gated_prefix import GatedPrefix

        return GatedPrefix(shape, feature_shape, **options)


BRIDGES.register(GatedPrefixKind())
