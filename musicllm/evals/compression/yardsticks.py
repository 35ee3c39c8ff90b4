"""What a model's compression is compared with: everything about the documents but the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from musicllm.evals.compression.compressors import (
    compressed_bytes,
    joined,
    primed_bytes,
    xz_bytes,
)
from musicllm.evals.compression.notes import num_notes
from musicllm.evals.compression.renderings import Rendered, render


@dataclass(frozen=True)
class Yardsticks:
    """Sizes in bytes, and counts.

    Attributes:
        sizes: of all documents, by compressor; `xz_primed` has read the training text before.
        notes: of each document; None where they cannot be counted.
        sizes_noted: of the documents with notes together, by compressor; empty when there are none.
        rendered: a sample of the documents as MIDI.
        num_not_rendered: documents of the sample without MIDI.
        midi_xz_bytes: the sample's MIDI in one `xz -9e`.
        num_training_characters: of the text that xz was primed with.
    """

    sizes: Mapping[str, int]
    notes: Sequence[int | None]
    sizes_noted: Mapping[str, int]
    rendered: Sequence[Rendered]
    num_not_rendered: int
    midi_xz_bytes: int
    num_training_characters: int


def make_yardsticks(texts: Sequence[str], training: Sequence[str], seed: int) -> Yardsticks:
    """Compress, count and render documents.

    Cost: about a second per MB of `texts` and two of `training`, and 5 s for MIDI.

    Args:
        texts: at least one document that the model was not trained on.
        training: documents that it was trained on.
        seed: of the sample that is rendered.
    """
    data = joined(texts)
    sizes = compressed_bytes(data)
    notes = [num_notes(text) for text in texts]
    noted = [text for text, count in zip(texts, notes, strict=True) if count]
    if len(noted) == len(texts):
        sizes_noted = sizes
    else:
        sizes_noted = compressed_bytes(joined(noted)) if noted else {}
    rendered, num_not_rendered = render(texts, seed)
    return Yardsticks(
        sizes={**sizes, "xz_primed": primed_bytes(joined(training), data)},
        notes=notes,
        sizes_noted=sizes_noted,
        rendered=rendered,
        num_not_rendered=num_not_rendered,
        midi_xz_bytes=xz_bytes(b"".join(tune.midi for tune in rendered)),
        num_training_characters=sum(map(len, training)),
    )
