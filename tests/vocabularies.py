"""A small tokenizer of LLaMA's kind, and chat templates."""

from __future__ import annotations

import json
import random
from pathlib import Path

import yaml
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nHelp.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""As SmolLM2-Instruct carries it: without generation blocks."""

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"]
"""Their ids are 0 to 4."""

_TALK = "Human: Write a reel in D, please. Assistant: Here it is [INST] Hello [/INST] Hello. " * 9
_CONF = Path(__file__).parent.parent / "conf" / "template"


def template(name: str) -> str:
    """Return the Jinja source of an option of `conf/template`."""
    return str(yaml.safe_load((_CONF / f"{name}.yaml").read_text(encoding="utf-8"))["jinja"])


def notes(seed: int, count: int) -> str:
    """Return that many bars of eight notes."""
    draw = random.Random(seed)
    return " | ".join("".join(draw.choices("DEFGABcd", k=8)) for _ in range(count))


def llama_like(chat_template: str | None) -> PreTrainedTokenizerFast:
    """Return a BPE that spells blanks as `▁`, begins every text with one and falls back to bytes.

    Its post-processor would add a `<s>` of its own, as LLaMA's does.
    """
    core = Tokenizer(models.BPE())
    core.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    # while it learns, words are apart: no token has a blank inside
    core.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=400, show_progress=False, max_token_length=12)
    core.train_from_iterator([_TALK, *(notes(seed, 20) for seed in range(20))], trainer)
    learned = json.loads(core.to_str())["model"]
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *learned["vocab"]]
    core.pre_tokenizer = None
    core.model = models.BPE(
        vocab={token: number for number, token in enumerate(tokens)},
        merges=[tuple(pair) for pair in learned["merges"]],
        unk_token="<unk>",
        fuse_unk=True,
        byte_fallback=True,
    )
    core.add_special_tokens(SPECIAL)
    blanks = decoders.Replace("▁", " ")
    core.decoder = decoders.Sequence(
        [blanks, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    core.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=chat_template,
    )
