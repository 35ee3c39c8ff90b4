"""Blanks of SentencePiece in LLaMA tokenizers, in the places of transformers 4."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from musicllm import console


def as_published(tokenizer: PreTrainedTokenizerBase) -> None:
    """Make a LLaMA tokenizer insert blanks as in transformers 4, and print a note.

    In transformers 4 a tokenizer is legacy unless its files have `legacy: false`: SentencePiece
    inserts a blank before every text between special tokens. In transformers 5 it is not legacy
    unless they have `legacy: true`; saved tokenizers have neither, only the pre-tokenizer.
    """
    core = tokenizer.backend_tokenizer
    if not isinstance(core.pre_tokenizer, pre_tokenizers.Metaspace) or not _is_legacy(tokenizer):
        return
    core.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", prepend_scheme="always", split=False)
    console.note(
        f"data.compat=reference: the tokenizer {tokenizer.name_or_path} is legacy (its "
        "tokenizer_config.json does not say legacy: false), so the corpus has a blank of "
        "SentencePiece's behind every special token, as published; transformers 5 and what runs "
        "the model put none there by themselves, and the prompts differ by it"
    )


def _is_legacy(tokenizer: PreTrainedTokenizerBase) -> bool:
    name = tokenizer.name_or_path
    # private: a file that a model does not have is None, not an error
    settings = cached_file(
        name, "tokenizer_config.json", _raise_exceptions_for_missing_entries=False
    )
    content = json.loads(Path(settings).read_text(encoding="utf-8")) if settings else {}
    if content.get("legacy") is not None:
        return bool(content["legacy"])
    saved = Tokenizer.from_file(cached_file(name, "tokenizer.json")).pre_tokenizer
    return not isinstance(saved, pre_tokenizers.Metaspace) or saved.prepend_scheme != "first"
