from __future__ import annotations

import math

import pytest

from musicllm.errors import InputError
from musicllm.evals import perplexity
from musicllm.evals.perplexity import document_rows, forgetting
from musicllm.inference.likelihood import DocumentScore

TEXTS = ["one twö.", "three"]


def scores(*nats: float) -> list[DocumentScore]:
    texts = zip(nats, TEXTS, strict=True)
    return [DocumentScore(nll, len(text), len(text), 1) for nll, text in texts]


def test_by_hand() -> None:
    parts = [DocumentScore(4 * math.log(8), 4, 6, 1), DocumentScore(2 * math.log(8), 2, 3, 2)]
    metrics = perplexity.measure(parts, seed=0)
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
    assert "word_perplexity" not in metrics


def test_words_and_bytes_by_hand() -> None:
    metrics = perplexity.measure(scores(12 * math.log(2), 9 * math.log(2)), 0, TEXTS)
    assert (metrics["num_words"], metrics["num_bytes"]) == (3, 14)
    assert metrics["word_perplexity"] == pytest.approx(2**7)
    assert metrics["byte_perplexity"] == pytest.approx(2**1.5)
    assert metrics["bits_per_byte"] == pytest.approx(1.5)
    bounds = [metrics[f"word_perplexity_{end}"] for end in ("low", "high")]
    assert bounds == pytest.approx([2**6, 2**9])  # one text alone, drawn twice
    bounds = [metrics[f"bits_per_byte_{end}"] for end in ("low", "high")]
    assert bounds == pytest.approx([12 / 9, 9 / 5])


def test_metrics_are_those_of_the_harness() -> None:
    from lm_eval.api.metrics import bits_per_byte, weighted_perplexity
    from lm_eval.tasks.wikitext.preprocess_wikitext import process_results

    texts = [" = Title = \n A  text , with blanks . \n", "Zwölf Boxkämpfer\njagen"]
    parts = [DocumentScore(31.5, 9, len(texts[0]), 1), DocumentScore(12.25, 5, len(texts[1]), 1)]
    metrics = perplexity.measure(parts, 0, texts)
    pairs = zip(texts, parts, strict=True)
    rows = [process_results({"page": text}, (-score.nll_nats,)) for text, score in pairs]
    for name in ("word_perplexity", "byte_perplexity"):
        expected = weighted_perplexity([row[name] for row in rows])
        assert metrics[name] == pytest.approx(expected)
    expected = bits_per_byte([row["bits_per_byte"] for row in rows])
    assert metrics["bits_per_byte"] == pytest.approx(expected)


def test_rows_name_their_documents() -> None:
    rows = document_rows(scores(3.0, 2.0), TEXTS)
    assert rows[0] == {
        "document_id": "0-a182d0856d25", "nll_nats": 3.0, "num_tokens": 8, "num_words": 2,
        "num_bytes": 9, "num_characters": 8,
    }  # fmt: skip
    assert rows[1]["document_id"].startswith("1-")


def test_forgetting_by_hand() -> None:
    before = document_rows(scores(10.0, 8.0), TEXTS)
    after = document_rows(scores(12.0, 7.0), TEXTS)
    metrics = forgetting(before, after, seed=0)
    assert metrics["word_perplexity_ratio"] == pytest.approx(math.exp(1 / 3))
    assert metrics["word_perplexity_ratio_low"] == pytest.approx(math.exp(-1))
    assert metrics["word_perplexity_ratio_high"] == pytest.approx(math.exp(1))
    assert metrics["bits_per_byte_before"] == pytest.approx(18 / math.log(2) / 14)
    assert metrics["bits_per_byte_after"] == pytest.approx(19 / math.log(2) / 14)
    assert metrics["bits_per_byte_increase"] == pytest.approx(1 / math.log(2) / 14)
    assert metrics["share_of_documents_worse"] == 0.5
    assert metrics["num_documents"] == 2
    assert forgetting(before, after[::-1], seed=0)["bits_per_byte_after"] == pytest.approx(
        19 / math.log(2) / 14
    )


def test_pairing_leaves_out_how_hard_the_documents_are() -> None:
    texts = [f"text {number}" for number in range(200)]
    nats = [float(1 + 50 * (number % 7)) for number in range(200)]
    before = [DocumentScore(nll, 4, 8, 1) for nll in nats]
    after = [DocumentScore(nll + 0.2, 4, 8, 1) for nll in nats]
    metrics = forgetting(document_rows(before, texts), document_rows(after, texts), seed=0)
    bounds = [metrics[f"word_perplexity_ratio_{end}"] for end in ("low", "high")]
    assert bounds == pytest.approx([math.exp(0.1)] * 2)


def test_other_documents_are_refused() -> None:
    before, after = document_rows(scores(1.0, 1.0), TEXTS), document_rows(scores(1.0, 1.0), TEXTS)
    after[1]["document_id"] = "1-other"
    message = r"different documents: 2 and 2, of which 1 are the same; evaluate both models on the"
    with pytest.raises(InputError, match=message):
        forgetting(before, after, seed=0)
    with pytest.raises(InputError, match="2 and 1, of which 1"):
        forgetting(before, before[:1], seed=0)
