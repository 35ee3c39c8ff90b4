from __future__ import annotations

import math

import pytest

from musicllm.evals import perplexity
from musicllm.evals.likelihood import DocumentScore


def test_by_hand() -> None:
    scores = [DocumentScore(4 * math.log(8), 4, 6, 1), DocumentScore(2 * math.log(8), 2, 3, 2)]
    metrics = perplexity.measure(scores, seed=0)
    assert metrics["perplexity_per_token"] == pytest.approx(8.0)
    assert metrics["perplexity_per_token_low"] == pytest.approx(8.0)
    assert metrics["perplexity_per_token_high"] == pytest.approx(8.0)
    assert metrics["nats_per_token"] == pytest.approx(math.log(8))
    assert metrics["bits_per_character"] == pytest.approx(2.0)  # 18 bits in 9 characters
    assert metrics["perplexity_per_character"] == pytest.approx(4.0)
    assert metrics["num_documents"] == 2
    assert metrics["num_tokens"] == 6
    assert metrics["num_characters"] == 9
    assert metrics["num_documents_in_windows"] == 1
