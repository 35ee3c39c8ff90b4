"""A model's code length beside the sizes that compressors and formats give the same documents.

A model that predicts a text with a negative log-likelihood of n bits can code it in n bits plus at
most two (arithmetic coding, Witten, Neal and Cleary 1987), so its bits per character compare with
those of xz. All compress the same text: documents, each closed by a newline, for which the model
has its end of text. Characters are those of the documents. The model's own size is not counted,
as it is not in the comparison of language models by perplexity; `xz_primed` shows what xz makes of
the same training text. It compresses and renders nothing itself (`yardsticks`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from musicllm.evals.compression.renderings import wav_bytes
from musicllm.evals.compression.yardsticks import Yardsticks
from musicllm.evals.results import Metrics, bootstrap, with_interval
from musicllm.inference.likelihood import DocumentScore

COMPRESSORS = ("xz", "gzip", "bz2", "zstd")


def model_bits(scores: Sequence[DocumentScore]) -> float:
    """Return the length of the arithmetic code that a model would give the documents."""
    return sum(score.nll_nats for score in scores) / math.log(2)


def compare(
    scores: Sequence[DocumentScore], texts: Sequence[str], marks: Yardsticks, seed: int
) -> Metrics:
    """Compare a model with compressors, MIDI and WAV.

    Args:
        scores: the model's likelihood of each text.
        texts: the documents.
        marks: made from the same documents.
        seed: of the resampling of documents for the intervals of the model's bits.

    Returns:
        Bits per character and per note of every compressor; other sizes divided by the model's
        (`ratio_xz`, `ratio_midi`, ...: above 1, the model's is smaller); tunes as ABC, MIDI and
        WAV. What needs notes or MIDI is None when no document has them.
    """
    assert len(scores) == len(texts) == len(marks.notes), "one score and one count per document"
    return {
        **_per_character(scores, texts, marks, seed),
        **_per_note(scores, marks, seed),
        **_formats(scores, texts, marks),
        "num_documents": len(texts),
        "num_characters": sum(map(len, texts)),
        "num_training_characters": marks.num_training_characters,
    }


def _per_character(
    scores: Sequence[DocumentScore], texts: Sequence[str], marks: Yardsticks, seed: int
) -> Metrics:
    num_characters = sum(map(len, texts))
    rates = {name: 8 * size / num_characters for name, size in marks.sizes.items()}
    model = model_bits(scores) / num_characters
    interval = bootstrap([model_bits([score]) for score in scores], seed, [*map(len, texts)])
    return {
        **with_interval("bits_per_character", model, interval),
        **{f"{name}_bits_per_character": rate for name, rate in rates.items()},
        **{f"ratio_{name}": rate / model for name, rate in rates.items()},
    }


def _per_note(scores: Sequence[DocumentScore], marks: Yardsticks, seed: int) -> Metrics:
    """Return rates over the documents whose notes can be counted; None when there are none."""
    pairs = [(score, count) for score, count in zip(scores, marks.notes, strict=True) if count]
    counts: Metrics = {
        "num_notes": sum(count for _, count in pairs),
        "num_documents_with_notes": len(pairs),
    }
    names = ["bits_per_note", *(f"{name}_bits_per_note" for name in COMPRESSORS)]
    if not pairs:
        return dict.fromkeys(names) | counts
    notes = [count for _, count in pairs]
    bits = [model_bits([score]) for score, _ in pairs]
    rates = {
        f"{name}_bits_per_note": 8 * size / sum(notes) for name, size in marks.sizes_noted.items()
    }
    interval = bootstrap(bits, seed, notes)
    return with_interval("bits_per_note", sum(bits) / sum(notes), interval) | rates | counts


def _formats(scores: Sequence[DocumentScore], texts: Sequence[str], marks: Yardsticks) -> Metrics:
    """Return the sizes of the rendered documents, as ABC, MIDI, WAV and under the model."""
    counts: Metrics = {
        "num_tunes_rendered": len(marks.rendered),
        "num_tunes_not_rendered": marks.num_not_rendered,
    }
    if not marks.rendered:
        names = ("abc_bytes", "midi_bytes", "wav_bytes", "seconds", "tokens")
        ratios = ("ratio_midi", "ratio_midi_xz", "ratio_wav", "midi_per_abc", "wav_per_abc")
        return dict.fromkeys([*(f"{name}_per_tune" for name in names), *ratios]) | counts
    own = [scores[tune.index] for tune in marks.rendered]
    model = model_bits(own) / 8
    sizes = {
        "abc_bytes": sum(len(texts[tune.index].encode()) for tune in marks.rendered),
        "midi_bytes": sum(len(tune.midi) for tune in marks.rendered),
        "wav_bytes": sum(wav_bytes(tune.duration_s) for tune in marks.rendered),
        "seconds": sum(tune.duration_s for tune in marks.rendered),
        "tokens": sum(score.num_tokens for score in own),
    }
    return {
        **{f"{name}_per_tune": size / len(own) for name, size in sizes.items()},
        "ratio_midi": sizes["midi_bytes"] / model,
        "ratio_midi_xz": marks.midi_xz_bytes / model,
        "ratio_wav": sizes["wav_bytes"] / model,
        "midi_per_abc": sizes["midi_bytes"] / sizes["abc_bytes"],
        "wav_per_abc": sizes["wav_bytes"] / sizes["abc_bytes"],
        **counts,
    }
