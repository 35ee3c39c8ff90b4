"""What a bridge is built from and for, without weights; importing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Pooling = Literal["layers", "frames"]


@dataclass(frozen=True)
class DecoderShape:
    """What a bridge needs to know of the decoder.

    Attributes:
        width: of the residual stream, W.
        num_layers: transformer layers.
        num_heads: query heads of a layer.
        num_kv_heads: key-value heads.
        head_dim: features of a head.
    """

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int


@dataclass(frozen=True)
class BridgeFacts:
    """What a bridge is, beside its weights.

    Attributes:
        kind: in `BRIDGES`.
        options: its settings.
        feature_shape: of a clip's features.
        features: description of the features that it was trained on: encoder, fingerprint,
            pooling, and so on.
    """

    kind: str
    options: Mapping[str, Any]
    feature_shape: tuple[int, int]
    features: Mapping[str, Any]
