"""A tokenizer of our own: byte-level BPE trained on tunes, saved in the layout of transformers.

Words are runs without white space with the blank before them, which in the normal form of a tune
are beams and bar lines; other white space stands alone. So no token reaches over the end of a word,
and a program that merges without cutting texts into words first, as llama.cpp can, makes the same
tokens. Any text can be encoded, and decoding gives it back byte for byte. The same texts in the
same order give the same tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BOS, EOS, PAD = "<s>", "</s>", "<pad>"
"""The special tokens; their ids are 0, 1 and 2."""

SMALLEST = 256 + 3
"""Tokens that are always there: every byte and the special ones."""

_WORD = Regex(r" ?\S+|\s")


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, chat_template: str
) -> PreTrainedTokenizerFast:
    """Learn a vocabulary.

    Args:
        texts: what it should be short on; the training split, never the others.
        vocab_size: tokens, at least 259. Fewer are made when the texts have too few pairs.
        chat_template: Jinja source that is stored with it.
    """
    from transformers import PreTrainedTokenizerFast

    assert vocab_size >= SMALLEST, f"vocab_size={vocab_size} is less than {SMALLEST}"
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_WORD, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[BOS, EOS, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        clean_up_tokenization_spaces=False,
        chat_template=chat_template,
    )
