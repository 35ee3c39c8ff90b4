"""Blanks of SentencePiece in tokenizers of LLaMA's class, where transformers 4 puts them."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer, pre_tokenizers
from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from musicllm import console


def as_published(tokenizer: PreTrainedTokenizerBase) -> None:
    """Let a tokenizer of LLaMA's class put blanks where transformers 4 puts them, and say so.

    There a tokenizer is legacy unless its files say `legacy: false`: SentencePiece puts a blank
    before every stretch between special tokens. transformers 5 takes it for not legacy unless they
    say `legacy: true`, and writes neither when it saves one, only what follows from it.
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
    said = json.loads(Path(settings).read_text(encoding="utf-8")) if settings else {}
    if said.get("legacy") is not None:
        return bool(said["legacy"])
    saved = Tokenizer.from_file(cached_file(name, "tokenizer.json")).pre_tokenizer
    return not isinstance(saved, pre_tokenizers.Metaspace) or saved.prepend_scheme != "first"
