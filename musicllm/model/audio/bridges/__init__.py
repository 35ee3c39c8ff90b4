"""Bridges from features of audio into a causal LM, one module for each kind: `audio.bridge`.

A bridge becomes the submodule `audio_bridge` of the causal model, so that its parameters are
trained, saved and loaded with it. Importing a kind imports no torch.

Axes: B rows, T tokens, C clips of a batch, W width of the decoder.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.model.audio.facts import DecoderShape, Pooling
from musicllm.registry import Registry

if TYPE_CHECKING:
    from musicllm.model.audio.bridge import Bridge


class BridgeKind(ABC):
    """A kind of bridge.

    Attributes:
        name: by which it is registered.
        pooling: of the features that it takes: `layers`, the mean over time of every hidden state
            of the encoder, [L, D]; or `frames`, a number of averages over time of one, [F, D].
        options: its settings in `audio.options`, each with its type.
    """

    name: ClassVar[str]
    pooling: ClassVar[Pooling]
    options: ClassVar[Mapping[str, type]]

    @abstractmethod
    def num_tokens(self, feature_shape: tuple[int, int]) -> int:
        """Return the places in the sequence that a clip fills; 0 if it fills none."""

    @abstractmethod
    def build(
        self, shape: DecoderShape, feature_shape: tuple[int, int], options: Mapping[str, Any]
    ) -> Bridge:
        """Return a bridge with random weights, from torch's global random state.

        Raises:
            ConfigError: an option does not fit the decoder.
        """


BRIDGES: Registry[BridgeKind] = Registry("audio bridge", __name__)
