"""MERT (arXiv 2306.00107), self-supervised on music: the encoder of MU-LLaMA."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm.model.audio.encoders import ENCODERS, AudioEncoder, EncoderFacts, EncoderKind

if TYPE_CHECKING:
    import torch


class Mert(EncoderKind):
    """MERT-v1 in both published sizes: `model_type: mert_model`."""

    name = "mert"

    def facts(self, config: Mapping[str, Any]) -> EncoderFacts:
        """See `EncoderKind`."""
        from musicllm.model.audio import mert

        return mert.facts_of(config)

    def open(
        self, config: Mapping[str, Any], location: Path | None, device: torch.device
    ) -> AudioEncoder:
        """See `EncoderKind`."""
        from musicllm.model.audio import mert

        assert location is not None, "checks ask for the weights of MERT"
        return mert.MertEncoder(config, location, device)


ENCODERS.register(Mert())
