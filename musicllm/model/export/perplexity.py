"""The perplexity of token ids, to compare a model with its quantized form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from musicllm.errors import StageError


class Perplexity(NamedTuple):
    """The perplexity of texts.

    Attributes:
        value: exp of the mean negative log-likelihood of a token.
        num_tokens: scored, all but the first of each text.
    """

    value: float
    num_tokens: int


@torch.inference_mode()
def perplexity(model: nn.Module, texts: Sequence[Sequence[int]]) -> Perplexity:
    """Return the perplexity of texts, each cut at the model's context.

    Args:
        model: causal language model of transformers on the CPU.
        texts: token ids.

    Raises:
        StageError: no text has two tokens.
    """
    settings: Any = model.config
    context = getattr(settings, "max_position_embeddings", None)
    total, count = 0.0, 0
    model.eval()
    for text in texts:
        ids = torch.tensor([list(text)[:context]])
        if ids.shape[1] < 2:
            continue
        logits = model(input_ids=ids).logits[0, :-1].float()
        total += float(nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    if not count:
        raise StageError("the test split of inputs.texts has no texts, so nothing can be compared")
    return Perplexity(math.exp(total / count), count)
