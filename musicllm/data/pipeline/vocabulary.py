"""The tokenizer of a corpus: taken as it is, extended, or trained on the training split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from musicllm import artifacts
from musicllm.data.extension import replaced_pieces, split_known, with_merges, with_tokens
from musicllm.data.gain import choose_merges
from musicllm.data.pipeline.columns import batches, from_batch
from musicllm.data.pipeline.deciding import SPLIT, ReadParts
from musicllm.data.pipeline.work import Facts, once
from musicllm.data.records import SPLITS, texts_of
from musicllm.data.settings import ExtendedTokenizer, NewTokenizer
from musicllm.data.vocabulary import train_tokenizer
from musicllm.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TEXTS_COMPARED = 1000
"""Training texts that are encoded by the old tokenizer and the extended one."""


def save_tokenizer(
    tokenizer: PreTrainedTokenizerBase | NewTokenizer | ExtendedTokenizer,
    parts: ReadParts,
    work: Path,
) -> Facts:
    """Save the tokenizer, extended or trained on the training texts if it is to be.

    Returns what tokens depend on, so that training can compare it with the model's tokenizer; for
    an extension also `new_tokens`: their `number`, the `first` id, those that were `known` already,
    and the tokens of some training `texts` `before` and `after`.

    Raises:
        InputError: no token can be added, or one cannot be decoded.
        NotAvailableError: gain is not defined for this kind of tokenizer.
    """

    def save(folder: Path) -> Facts:
        final, facts = tokenizer, Facts()
        split_file = work / "decided" / SPLIT
        if isinstance(final, NewTokenizer):
            texts = _training_texts(parts, split_file, _bare)
            final = train_tokenizer(texts, final.vocab_size, final.chat_template)
        elif isinstance(final, ExtendedTokenizer):
            final, facts = _extended(final, lambda: _training_texts(parts, split_file, _all))
        final.save_pretrained(folder)
        template = hashlib.sha256(str(final.chat_template or "").encode())
        return facts | {
            "vocab_size": len(final),
            "tokenizer_fingerprint": artifacts.checksum(folder / "tokenizer.json")[:12],
            "template_fingerprint": template.hexdigest()[:12],
        }

    return once(work / "tokenizer", save)


def _extended(
    wanted: ExtendedTokenizer, training_texts: Callable[[], Iterator[str]]
) -> tuple[PreTrainedTokenizerBase, Facts]:
    base = wanted.base
    known: list[str] = []
    some = list(islice(training_texts(), TEXTS_COMPARED))
    if wanted.tokens is not None:
        tokens, known = split_known(base, wanted.tokens)
        if not tokens:
            raise InputError(
                f"data.new_tokens: the {len(known)} tokens of the file are tokens of "
                f"{base.name_or_path} already; use data.tokenizer=model"
            )
        made = with_tokens(base, tokens, some)
    else:
        assert wanted.num_tokens is not None, "an extension without tokens passed the checks"
        merges = choose_merges(base.backend_tokenizer, training_texts(), wanted.num_tokens)
        if not merges:
            raise InputError(
                "data.num_new_tokens: no two tokens stand side by side twice in the training "
                "texts; use more texts, or data.tokenizer=model"
            )
        made = with_merges(base, merges, some)
    pieces = replaced_pieces(base.backend_tokenizer, made.backend_tokenizer)
    assert pieces, "an extension without new tokens was accepted"
    before, after = (
        sum(len(t.backend_tokenizer.encode(text, add_special_tokens=False)) for text in some)
        for t in (base, made)
    )
    facts = {"number": len(pieces), "first": min(pieces), "known": known, "texts": len(some)}
    return made, {"new_tokens": facts | {"before": before, "after": after}}


def _training_texts(
    parts: ReadParts, split_file: Path, texts_in: Callable[[pa.RecordBatch], list[list[str]]]
) -> Iterator[str]:
    """Yield the texts of the training split.

    Args:
        parts: what was read.
        split_file: of the decisions.
        texts_in: returns the texts of every record of a batch.
    """
    splits = np.load(split_file, mmap_mode="r")
    train, number = SPLITS.index("train"), 0
    for folder, facts in zip(parts.folders, parts.facts, strict=True):
        for batch in batches(folder, 0, len(facts["batch_sizes"])):
            places = splits[number : number + batch.num_rows]
            for texts, place in zip(texts_in(batch), places, strict=True):
                if place == train:
                    yield from filter(None, texts)
            number += batch.num_rows


def _bare(batch: pa.RecordBatch) -> list[list[str]]:
    """Return the texts that are no conversations."""
    return [[text] if text else [] for text in batch.column("text").to_pylist()]


def _all(batch: pa.RecordBatch) -> list[list[str]]:
    """Return texts and messages."""
    return [texts_of(record) for record in from_batch(batch, [""] * batch.num_rows)]
