"""Texts of a corpus as tokens of a model that leaves the framework: `inputs.texts`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from musicllm import console
from musicllm.artifacts import Artifact
from musicllm.data.corpus import Corpus
from musicllm.data.encoder import Encoder
from musicllm.data.records import Record
from musicllm.data.settings import RowSettings
from musicllm.errors import ArtifactError
from musicllm.model import base
from musicllm.model.export import Texts

MAX_TOKENS = 4096
"""Longer conversations are left out and longer texts cut: the cost of a perplexity is the square of
their length."""


def texts_of(corpus: Artifact, model: Path, *, num_texts: int, seed: int) -> Texts:
    """Return drawn texts of a corpus, in tokens of a model's tokenizer.

    Args:
        corpus: whose training and test splits are read; its own tokenizer does not matter.
        model: folder of the model.
        num_texts: at most, of each split.
        seed: of the drawing.

    Raises:
        ArtifactError: it is no corpus, or has no texts in one of these splits.
        InputError: the model's tokenizer is missing, or has no chat template for conversations.
    """
    if corpus.kind != "corpus":
        raise ArtifactError(f"inputs.texts={corpus.path} is of kind {corpus.kind}, not a corpus")
    opened = Corpus.open(corpus.path)
    encoder = Encoder(
        base.load_tokenizer(model),
        RowSettings("pack", MAX_TOKENS, long_conversations="drop", compat=None, audio_tokens=0),
    )
    drawn = {split: _drawn(opened, split, num_texts, seed) for split in ("train", "test")}
    return Texts(
        calibration=_ids(encoder, drawn["train"]),
        test=_ids(encoder, drawn["test"]),
        requests=[
            message["content"]
            for record in drawn["test"]
            for message in record.get("messages", ())[:1]
            if message["role"] == "user"
        ],
    )


def _drawn(corpus: Corpus, split: str, num_texts: int, seed: int) -> list[Record]:
    records = list(corpus.records(split))
    if not records:
        raise ArtifactError(
            f"inputs.texts={corpus.path} has no texts in its {split} split; prepare one that has "
            f"(data.test_fraction)"
        )
    random.Random(seed).shuffle(records)
    return records[:num_texts]


def _ids(encoder: Encoder, records: Sequence[Record]) -> list[list[int]]:
    encoded = encoder.encode(records)
    for reason, count in Counter(drop.reason for drop in encoded.drops).items():
        console.note(f"{count} of {len(records)} texts of inputs.texts are left out: {reason}")
    documents = encoded.documents
    offsets = documents.offsets.tolist()
    ranges = ((start, min(end, start + MAX_TOKENS)) for start, end in pairwise(offsets))
    return [documents.input_ids[start:end].tolist() for start, end in ranges]
