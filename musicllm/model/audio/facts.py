"""What features and bridges are, without weights; importing it imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from musicllm import artifacts

Pooling = Literal["layers", "frames"]


@dataclass(frozen=True)
class FeatureSpec:
    """What is kept of a clip. Features of two specs are never mixed.

    Attributes:
        encoder: kind in `ENCODERS`.
        encoder_fingerprint: see `AudioEncoder`.
        window_s: seconds that are encoded at a time.
        pooling: see `Pooling`.
        layer: hidden state that is kept with `frames`; None for the last.
        num_frames: that are kept with `frames`; None with `layers`.
        shape: of the features of a clip.
    """

    encoder: str
    encoder_fingerprint: str
    window_s: float
    pooling: Pooling
    layer: int | None
    num_frames: int | None
    shape: tuple[int, int]

    @property
    def fingerprint(self) -> str:
        """What tells features of this spec from others."""
        return artifacts.fingerprint(asdict(self))

    def as_json(self) -> dict[str, Any]:
        """Return it for a manifest."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> FeatureSpec:
        """Return the spec of a manifest."""
        return cls(**dict(stored) | {"shape": tuple(stored["shape"])})


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
        features: `FeatureSpec.as_json` of the features that it was trained on.
    """

    kind: str
    options: Mapping[str, Any]
    feature_shape: tuple[int, int]
    features: Mapping[str, Any]
