"""The tokenizer of the data bench, as a fast and as a slow one that give the same tokens.

SentencePiece's own trainer makes it, with the settings that LLaMA-2's has: BPE, digits apart, bytes
for what has no token. It is what ChatMusician's data go through, and transformers can open its one
file both ways.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from musicllm.errors import NotAvailableError, StageError

FILE = "tokenizer.model"


def train(texts: Iterable[str], vocab_size: int, folder: Path) -> None:
    """Learn a vocabulary from lines of text and save both tokenizers in a folder.

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
    """Return the fast tokenizer of transformers, which wraps one of `tokenizers`."""
    from transformers import LlamaTokenizer

    return LlamaTokenizer.from_pretrained(folder / "fast")


def slow(folder: Path) -> Any:
    """Return the tokenizer that transformers runs in Python, around SentencePiece's own core."""
    from transformers.tokenization_utils_sentencepiece import SentencePieceBackend

    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return SentencePieceBackend(vocab_file=str(folder / FILE), **names)


def lengths(folder: Path, texts: Sequence[str]) -> list[int]:
    """Return the number of tokens of every text."""
    encodings = fast(folder).backend_tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    return [len(encoding) for encoding in encodings]


def compare(folder: Path, texts: Sequence[str]) -> None:
    """Make sure that both tokenizers give the same tokens, so that they do the same work.

    Raises:
        StageError: they do not.
    """
    quick, steady = fast(folder), slow(folder)
    for text in texts:
        if quick.encode(text, add_special_tokens=False) != steady.encode(
            text, add_special_tokens=False
        ):
            raise StageError(f"the slow tokenizer and the fast one differ on {text[:60]!r}")
