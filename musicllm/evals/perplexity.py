"""Perplexity of documents, per token and per character.

Perplexity per token compares models of one tokenizer; bits per character, those of any. It scores
nothing itself (`likelihood`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from musicllm.evals.likelihood import DocumentScore
from musicllm.evals.results import Metrics, bootstrap, with_interval


def measure(scores: Sequence[DocumentScore], seed: int) -> Metrics:
    """Turn the scores of at least one document into metrics.

    Args:
        scores: of each document.
        seed: of the resampling of documents for the intervals.
    """
    nats = [score.nll_nats for score in scores]
    tokens = [score.num_tokens for score in scores]
    characters = [score.num_characters for score in scores]
    low, high = bootstrap(nats, seed, tokens)
    bits = sum(nats) / math.log(2) / sum(characters)
    bits_low, bits_high = (bound / math.log(2) for bound in bootstrap(nats, seed, characters))
    return {
        **with_interval(
            "perplexity_per_token",
            math.exp(sum(nats) / sum(tokens)),
            (math.exp(low), math.exp(high)),
        ),
        "perplexity_per_character": 2**bits,
        **with_interval("bits_per_character", bits, (bits_low, bits_high)),
        "nats_per_token": sum(nats) / sum(tokens),
        "num_documents": len(scores),
        "num_tokens": sum(tokens),
        "num_characters": sum(characters),
        "num_documents_in_windows": sum(score.num_windows > 1 for score in scores),
    }
