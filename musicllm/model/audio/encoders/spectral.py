"""Spectra, onsets, pitches, tempo and intervals: an encoder without weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicllm.errors import InputError
from musicllm.model.audio.encoders import ENCODERS, AudioEncoder, EncoderFacts, EncoderKind

if TYPE_CHECKING:
    import torch


class Spectral(EncoderKind):
    """Features of signal processing, for small models and machines without a GPU."""

    name = "spectral"
    needs_weights = False

    def facts(self, config: Mapping[str, Any]) -> EncoderFacts:
        """See `EncoderKind`."""
        from musicllm.model.audio import spectra

        if config:
            raise InputError(
                f"audio.encoder_config={dict(config)}: the encoder spectral has no settings; "
                f"write audio.encoder_config={{}}"
            )
        return spectra.FACTS

    def open(
        self, config: Mapping[str, Any], location: Path | None, device: torch.device
    ) -> AudioEncoder:
        """See `EncoderKind`."""
        from musicllm.model.audio import spectra

        del location
        self.facts(config)
        return spectra.SpectralEncoder(device)


ENCODERS.register(Spectral())
