"""A tiny corpus for tests that need one but are about something else."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from musicllm import artifacts
from musicllm.data.build import build
from musicllm.data.corpus import Corpus
from musicllm.data.ledger import Ledger
from musicllm.data.records import Record
from musicllm.data.vocabulary import train_tokenizer

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}Human: {{ m.content }} </s> "
    "{% elif m.role == 'assistant' %}Assistant: "
    "{% generation %}{{ m.content }} </s>{% endgeneration %}"
    "{% if not loop.last %} {% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)


def make_tune(seed: int, num_bars: int = 8) -> str:
    """Return a valid reel in D whose bars are drawn from eight notes of the scale."""
    draw = random.Random(seed)
    bars = ["".join(draw.choices("DEFGABcd", k=8)) for _ in range(num_bars)]
    return "X:1\nR:reel\nL:1/8\nM:4/4\nK:D\n" + " | ".join(bars) + " |]\n"


def make_corpus(
    folder: Path,
    *,
    content: str = "text",
    num_tunes: int = 30,
    max_length: int = 256,
    vocab_size: int = 300,
    row_former: str = "pack",
) -> Corpus:
    """Make a corpus artifact in a fraction of a second: 24, 3 and 3 tunes of 30.

    Args:
        folder: becomes the artifact.
        content: `text` for tunes, `messages` for requests answered with tunes.
    """
    records = [_record(number, content) for number in range(num_tunes)]
    tenth = num_tunes // 10
    splits = {
        "train": records[2 * tenth :],
        "validation": records[tenth : 2 * tenth],
        "test": records[:tenth],
    }
    tokenizer = train_tokenizer(map(make_tune, range(num_tunes)), vocab_size, TEMPLATE)
    ledger = Ledger(Counter(record["source"] for record in records))
    settings: dict[str, Any] = {"row_former": row_former, "max_length": max_length}
    identity = artifacts.fingerprint([content, num_tunes, vocab_size, settings])
    with artifacts.writing(folder, "corpus", identity, {}) as (temporary, facts):
        facts.update(build(temporary, splits, tokenizer, ledger, **settings))
    return Corpus.open(folder)


def _record(number: int, content: str) -> Record:
    record = {"id": f"made/{number}", "source": "made" if number % 2 else "other"}
    if content == "text":
        return {**record, "text": make_tune(number), "fingerprint_group": f"made/{number}"}
    messages = [
        {"role": "user", "content": "Write a reel in D."},
        {"role": "assistant", "content": make_tune(number).strip()},
    ]
    return {**record, "messages": messages}
