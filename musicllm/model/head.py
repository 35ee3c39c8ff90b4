"""The output head of a model, with what the model does to its logits.

Some models scale their logits (Granite, Cohere, Falcon-H1), some cap them smoothly (Gemma), and
both happen behind the head. Whoever computes logits from hidden states takes `head_of(model)`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

FACTORS = ("logit_scale", "lm_head_multiplier", "output_multiplier")
"""Keys of config.json by which logits are multiplied: Cohere, Falcon-H1, Muse."""

DIVISORS = ("logits_scaling",)
"""Keys by which they are divided: Granite."""

FACTORS_OF = {"hyperclovax": DIVISORS}
"""model_type -> keys by which this class multiplies, though others divide."""

CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Keys of the smooth cap: Gemma, RecurrentGemma."""

KEYS = (*FACTORS, *DIVISORS, *CAPS)


@dataclass(frozen=True)
class Adjustment:
    """What a model does to its logits: cap * tanh(scale * logits / cap).

    Attributes:
        scale: factor, 1 where there is none.
        cap: most that a logit can be; None where there is no cap.
    """

    scale: float = 1.0
    cap: float | None = None

    @property
    def is_none(self) -> bool:
        """Whether logits stay as they are."""
        return self.scale == 1 and self.cap is None

    def __call__(self, logits: Tensor) -> Tensor:
        """Return the model's logits, float32, for those of its head."""
        logits = logits.float()
        if self.scale != 1:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * (logits / self.cap).tanh()


NO_ADJUSTMENT = Adjustment()


@dataclass(frozen=True)
class Head:
    """An output head.

    Attributes:
        module: from hidden states [., D] to logits [., V].
        adjustment: of these.
    """

    module: Callable[[Tensor], Tensor]
    adjustment: Adjustment

    def __call__(self, states: Tensor) -> Tensor:
        """Return the model's logits, float32 [., V], for hidden states [., D]."""
        return self.adjustment(self.module(states))


def head_of(model: Any) -> Head:
    """Return the output head of a causal language model of transformers."""
    return Head(model.get_output_embeddings(), adjustment_of(model.config.get_text_config()))


def adjustment_of(config: Any) -> Adjustment:
    """Return what a model does to its logits, by its configuration.

    `train.module.check_head` compares it with what the model computes.
    """
    multiplied = (*FACTORS, *FACTORS_OF.get(config.model_type, ()))
    scale = 1.0
    for key in (*FACTORS, *DIVISORS):
        value = getattr(config, key, None)
        if isinstance(value, float | int):
            scale = scale * value if key in multiplied else scale / value
    caps = [getattr(config, key, None) for key in CAPS]
    return Adjustment(scale, next((float(cap) for cap in caps if cap), None))
