"""Encoders of audio, one module for each kind: `audio.encoder`.

Importing one imports no torch.

Axes: B waveforms, S samples, L layers (hidden states), T frames, D width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.registry import Registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class EncoderFacts:
    """What a plan needs to know of an encoder.

    Attributes:
        sample_rate: samples per second of the waveforms that it takes.
        num_layers: hidden states that it gives, L.
        width: features of each, D.
        frames_per_second: frames of a second of audio, approximately.
        num_parameters: of its weights, all frozen.
        flops_per_second: of encoding a second of audio, approximately.
    """

    sample_rate: int
    num_layers: int
    width: int
    frames_per_second: float
    num_parameters: int
    flops_per_second: float


class AudioEncoder(ABC):
    """An encoder with its weights.

    Attributes:
        facts: what a plan says of it.
        fingerprint: of its weights, its settings and the version of its code; features of two
            encoders are comparable only if it is the same.
    """

    facts: EncoderFacts
    fingerprint: str

    @abstractmethod
    def encode(self, waveforms: Tensor) -> Tensor:
        """Return all hidden states, float32 [B, L, T, D], without a gradient.

        Args:
            waveforms: float32 [B, S] of one length, at `facts.sample_rate`, within -1 and 1.

        Raises:
            InputError: the waveforms are shorter than a frame.
        """


class EncoderKind(ABC):
    """A kind of encoder.

    Attributes:
        name: by which it is registered.
        needs_weights: whether `audio.encoder_location` has to name weights.
    """

    name: ClassVar[str]
    needs_weights: ClassVar[bool] = True

    @abstractmethod
    def facts(self, config: Mapping[str, Any]) -> EncoderFacts:
        """Return what is known without weights.

        Args:
            config: settings of the encoder, as its published config.json has them.

        Raises:
            InputError: a setting is missing, or one that this code does not follow.
        """

    @abstractmethod
    def open(
        self, config: Mapping[str, Any], location: Path | None, device: torch.device
    ) -> AudioEncoder:
        """Return the encoder with its weights, on a device.

        Args:
            config: as for `facts`; compared with config.json at the location.
            location: folder of the weights; None where the kind needs none.
            device: on which it computes.

        Raises:
            InputError: the folder lacks a file, a tensor is missing, unexpected or has another
                shape, or its config.json differs from `config`.
        """


ENCODERS: Registry[EncoderKind] = Registry("audio encoder", __name__)
