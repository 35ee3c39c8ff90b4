"""Perplexity of documents, and what one model forgot of what another knew.

Perplexity per token compares models of one tokenizer; that per word, per byte and per character,
models of any. Words and bytes count as in lm-evaluation-harness: pieces between white space, and
bytes of UTF-8. The harness does not score the end of a document; `likelihood` may (`ends`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from musicllm.errors import InputError
from musicllm.evals.results import Metrics, bootstrap, wilson, with_interval
from musicllm.inference.likelihood import DocumentScore


def measure(
    scores: Sequence[DocumentScore], seed: int, texts: Sequence[str] | None = None
) -> Metrics:
    """Turn the scores of at least one document into metrics.

    Args:
        scores: of each document.
        seed: of the resampling of documents for the intervals.
        texts: the documents; without them, there are no metrics per word and per byte.
    """
    nats = [score.nll_nats for score in scores]
    tokens = [score.num_tokens for score in scores]
    characters = [score.num_characters for score in scores]
    bits = sum(nats) / math.log(2) / sum(characters)
    return {
        **_perplexity("perplexity_per_token", nats, tokens, seed),
        "perplexity_per_character": 2**bits,
        **_bits("bits_per_character", nats, characters, seed),
        **({} if texts is None else _per_word_and_byte(nats, texts, seed)),
        "nats_per_token": sum(nats) / sum(tokens),
        "num_documents": len(scores),
        "num_tokens": sum(tokens),
        "num_characters": sum(characters),
        "num_documents_in_windows": sum(score.num_windows > 1 for score in scores),
    }


def document_rows(scores: Sequence[DocumentScore], texts: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row per document, from which two evaluations can be compared.

    `document_id` is the document's number and the beginning of its SHA-256, so that equal ids are
    equal texts.
    """
    return [
        {
            "document_id": f"{number}-{hashlib.sha256(text.encode()).hexdigest()[:12]}",
            "nll_nats": score.nll_nats,
            "num_tokens": score.num_tokens,
            "num_words": num_words(text),
            "num_bytes": num_bytes(text),
            "num_characters": score.num_characters,
        }
        for number, (score, text) in enumerate(zip(scores, texts, strict=True))
    ]


def forgetting(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], seed: int
) -> Metrics:
    """Compare two models on the same documents, whatever their tokenizers.

    Documents are resampled in pairs of both models' scores, so an interval is about the change, not
    about how hard the documents are.

    Args:
        before: `document_rows` of the model that was trained on.
        after: those of the model that came of it.
        seed: of the resampling of documents.

    Returns:
        The word perplexity after, divided by that before (above 1: forgotten); bits per byte
        before, after, and the increase; the share of documents that became less probable.

    Raises:
        InputError: the documents are not the same.
    """
    former = {row["document_id"]: row for row in before}
    ids = {row["document_id"] for row in after}
    if not ids or ids != former.keys():
        raise InputError(
            f"the two evaluations read different documents: {len(former)} and {len(ids)}, of which "
            f"{len(ids & former.keys())} are the same; evaluate both models on the same texts"
        )
    pairs = [(former[row["document_id"]], row) for row in after]
    words = [old["num_words"] for old, _ in pairs]
    sizes = [old["num_bytes"] for old, _ in pairs]
    changes = [new["nll_nats"] - old["nll_nats"] for old, new in pairs]
    num_worse = sum(change > 0 for change in changes)
    bits = [sum(row["nll_nats"] for row in rows) / math.log(2) for rows in zip(*pairs, strict=True)]
    return {
        **_perplexity("word_perplexity_ratio", changes, words, seed),
        "bits_per_byte_before": bits[0] / sum(sizes),
        "bits_per_byte_after": bits[1] / sum(sizes),
        **_bits("bits_per_byte_increase", changes, sizes, seed),
        **with_interval(
            "share_of_documents_worse", num_worse / len(pairs), wilson(num_worse, len(pairs))
        ),
        "num_documents": len(pairs),
    }


def num_words(text: str) -> int:
    """Return the number of pieces between white space, as the harness counts them."""
    return len(re.split(r"\s+", text))


def num_bytes(text: str) -> int:
    """Return the size in UTF-8."""
    return len(text.encode())


def _per_word_and_byte(nats: Sequence[float], texts: Sequence[str], seed: int) -> Metrics:
    words, sizes = [*map(num_words, texts)], [*map(num_bytes, texts)]
    return {
        **_perplexity("word_perplexity", nats, words, seed),
        "byte_perplexity": math.exp(sum(nats) / sum(sizes)),
        **_bits("bits_per_byte", nats, sizes, seed),
        "num_words": sum(words),
        "num_bytes": sum(sizes),
    }


def _perplexity(name: str, nats: Sequence[float], units: Sequence[int], seed: int) -> Metrics:
    low, high = bootstrap(nats, seed, units)
    return with_interval(name, math.exp(sum(nats) / sum(units)), (math.exp(low), math.exp(high)))


def _bits(name: str, nats: Sequence[float], units: Sequence[int], seed: int) -> Metrics:
    low, high = (bound / math.log(2) for bound in bootstrap(nats, seed, units))
    return with_interval(name, sum(nats) / math.log(2) / sum(units), (low, high))
