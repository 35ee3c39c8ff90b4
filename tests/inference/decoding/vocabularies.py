"""Tokenizers of three kinds for tunes, with tokens that reach over bar lines and into new lines."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tests.helpers import make_tune
from tests.vocabularies import CHATML, llama_like

ANSWERS = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% generation %}"
    "{{ m['content'] + '</s>' }}{% endgeneration %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@cache
def whole_bars() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE that learned without any split, so its tokens reach over anything."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=9,
    )
    core.train_from_iterator([make_tune(seed) for seed in range(30)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=ANSWERS,
    )


@cache
def pieces() -> PreTrainedTokenizerFast:
    """Return a tokenizer of LLaMA's kind: blanks as `▁`, and bytes for what has no piece."""
    return llama_like(ANSWERS)


__all__ = ["ANSWERS", "CHATML", "pieces", "whole_bars"]
