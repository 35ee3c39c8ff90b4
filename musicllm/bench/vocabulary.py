"""The tokenizer of the data bench: a fast and a slow implementation with the same tokens.

Trained by SentencePiece with the settings of LLaMA-2: BPE, split digits, byte
fallback. ChatMusician uses it, and transformers can load its
file in both ways.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from musicllm.errors import NotAvailableError, StageError

FILE = "tokenizer.model"


def train(texts: Iterable[str], vocab_size: int, folder: Path) -> None:
    """Train a vocabulary on lines of text and save both tokenizers in a folder.

    Raises:
        NotAvailableError: the package sentencepiece is not installed.
    """
    if importlib.util.find_spec("sentencepiece") is None:
        raise NotAvailableError(
            "this bench needs sentencepiece, the slow tokenizer: pip install 'musicllm[bench]'"
        )
    import sentencepiece
    from transformers import LlamaTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=(line for text in texts for line in text.splitlines()),
            model_writer=file,
            model_type="bpe",
            vocab_size=vocab_size,
            hard_vocab_limit=False,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            allow_whitespace_only_pieces=True,
            max_sentence_length=100_000,
            minloglevel=2,
            num_threads=1,
        )
    LlamaTokenizer.from_pretrained(folder).save_pretrained(folder / "fast")


def fast(folder: Path) -> Any:
    """Load the fast tokenizer of transformers, which wraps one of `tokenizers`."""
    from transformers import LlamaTokenizer

    return LlamaTokenizer.from_pretrained(folder / "fast")


def slow(folder: Path) -> Any:
    """Load the slow tokenizer of transformers, which wraps SentencePiece."""
    from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return SentencePieceBackend(vocab_file=str(folder / FILE), **names)


def lengths(folder: Path, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of each text."""
    encodings = fast(folder).backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [len(encoding) for encoding in encodings]


def compare(folder: Path, texts: Sequence[str]) -> None:
    """Check that both tokenizers give the same tokens.

    Raises:
        StageError: they differ.
    """
    quick, steady = fast(folder), slow(folder)
    for text in texts:
        if quick.encode(text, add_special_tokens=False) != steady.encode(
            text, add_special_tokens=False
        ):
            raise StageError(f"the slow tokenizer and the fast one differ on {text[:60]!r}")
