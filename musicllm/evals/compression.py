"""A language model as a compressor of text, beside the compressors that everybody has.

A model that predicts a text with a negative log-likelihood of n bits can code it in n bits plus at
most two (arithmetic coding, Witten, Neal and Cleary 1987), so its bits per character compare with
those of xz. All compress the same text: documents, each closed by a newline, for which the model
has its end of text. Characters are those of the documents. The model's own size is not counted,
as it is not in the comparison of language models by perplexity; `xz_primed` shows what xz makes of
the same training text.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
from collections.abc import Sequence

from musicllm.evals.likelihood import DocumentScore
from musicllm.evals.results import Metrics, bootstrap, with_interval

PRESET = 9 | lzma.PRESET_EXTREME


def model_bits(scores: Sequence[DocumentScore]) -> float:
    """Return the length of the arithmetic code that a model would give the documents."""
    return sum(score.nll_nats for score in scores) / math.log(2)


def joined(texts: Sequence[str]) -> bytes:
    """Return the documents as UTF-8, each closed by a newline."""
    return "".join(f"{text}\n" for text in texts).encode()


def compressed_bytes(data: bytes) -> dict[str, int]:
    """Return the size of `data` by compressor: `xz -9e`, `gzip -9` and `bzip2 -9`."""
    return {
        "xz": _xz(data),
        "gzip": len(gzip.compress(data, 9, mtime=0)),
        "bz2": len(bz2.compress(data, 9)),
    }


def primed_bytes(training: bytes, data: bytes) -> int:
    """Return what `data` adds to `xz -9e` of the training text in front of it.

    xz looks back 64 MiB, so more training text than that does not help it. Takes about a second
    per MB of both.
    """
    return _xz(training + data) - _xz(training)


def measure(
    scores: Sequence[DocumentScore], texts: Sequence[str], training: Sequence[str], seed: int
) -> Metrics:
    """Compare a model with the compressors on the same documents.

    Args:
        scores: the model's likelihood of each text.
        texts: at least one document that the model was not trained on.
        training: documents that it was trained on.
        seed: of the resampling of documents for the interval of the model's bits.

    Returns:
        Bits per character of every compressor, and of xz divided by the model's (above 1, the
        model compresses better).
    """
    num_characters = sum(map(len, texts))
    data = joined(texts)
    sizes = compressed_bytes(data)
    sizes["xz_primed"] = primed_bytes(joined(training), data)
    rates = {name: 8 * size / num_characters for name, size in sizes.items()}
    model = model_bits(scores) / num_characters
    interval = bootstrap([model_bits([score]) for score in scores], seed, [*map(len, texts)])
    return {
        **with_interval("bits_per_character", model, interval),
        **{f"{name}_bits_per_character": rate for name, rate in rates.items()},
        "ratio_xz": rates["xz"] / model,
        "ratio_xz_primed": rates["xz_primed"] / model,
        "num_documents": len(texts),
        "num_characters": num_characters,
        "num_training_characters": sum(map(len, training)),
    }


def _xz(data: bytes) -> int:
    return len(lzma.compress(data, preset=PRESET))
