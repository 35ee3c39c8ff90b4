"""A tiny corpus for tests that need one but are about something else."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from musicllm import artifacts
from musicllm.data.corpus import Corpus
from musicllm.data.engines import LocalEngine
from musicllm.data.pipeline import prepare
from musicllm.data.records import Record
from musicllm.data.settings import (
    ExtendedTokenizer,
    InstructionSettings,
    Preparation,
    RowSettings,
    SourceSpec,
)
from musicllm.data.vocabulary import train_tokenizer
from musicllm.schema import DuplicatesConfig, MixConfig, MusicConfig

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m.role == 'user' %}Human: {{ m.content }} </s> "
    "{% elif m.role == 'assistant' %}Assistant: "
    "{% generation %}{{ m.content }} </s>{% endgeneration %}"
    "{% if not loop.last %} {% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)


def source_spec(name: str, reader: Any, location: str | None, **changes: Any) -> SourceSpec:
    """Return a source that is read whole, with changes."""
    values = {"format": "auto", "max_records": None, "cache": None, "revision": None,
              "kinds": (), "named_splits": True, "where": (), "min_chars": None}  # fmt: skip
    return SourceSpec(name, reader, location, **(values | changes))


def music_config(**changes: Any) -> MusicConfig:
    """Return what a test does about tunes, with changes."""
    values = {"check": True, "repair": True, "normalize": False, "on_fault": "drop",
              "min_share_fitting": 0.8, "min_bars": 4, "min_notes": 12, "max_bars": 5_000,
              "max_tune_chars": 100_000}  # fmt: skip
    return MusicConfig(**(values | changes))


def duplicates_config(**changes: Any) -> DuplicatesConfig:
    """Return which records are duplicates in a test: the same texts, with changes."""
    values = {"exact": True, "near_similarity": None, "melodic_similarity": None,
              "related_similarity": 0.25}  # fmt: skip
    return DuplicatesConfig(**(values | changes))


def mix_config(**changes: Any) -> MixConfig:
    """Return a mix that takes everything once, with changes."""
    values = {"by": "source", "weights": {}, "unit": "documents", "epochs": {}, "max_documents": {}}
    return MixConfig(**(values | changes))


def row_settings(
    former: Any, max_length: int, long_conversations: Any = "drop", compat: Any = None
) -> RowSettings:
    """Return how documents become rows in a test."""
    return RowSettings(former, max_length, long_conversations, compat, audio_tokens=0)


def instruction_settings(tasks: tuple[str, ...], **changes: Any) -> InstructionSettings:
    """Return single turns in English, with changes."""
    values = {
        "samples_per_tune": 1,
        "languages": ("en",),
        "phrasings": None,
        "max_turns": 1,
        "language_shares": (),
    }
    return InstructionSettings(tasks, **(values | changes))


def preparation_of(**settings: Any) -> Preparation:
    """Return a preparation that changes nothing, with settings; sources and rows are needed."""
    values = {"music": music_config(), "duplicates": duplicates_config(), "questions": (),
              "transpose_semitones": (0,), "instructions": None, "validation_fraction": 0.0,
              "test_fraction": 0.0, "mix": mix_config(), "max_reject_fraction": 1.0,
              "seed": 0, "translation": None, "system_prompts": (), "also_write": ()}  # fmt: skip
    return Preparation(**(values | settings))


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
    tokenizer: PreTrainedTokenizerBase | ExtendedTokenizer | None = None,
) -> Corpus:
    """Make a corpus artifact in a fraction of a second: 24, 3 and 3 tunes of 30.

    Args:
        folder: becomes the artifact.
        content: `text` for tunes, `messages` for requests answered with tunes.
        tokenizer: of the corpus; None for one of `vocab_size` tokens that is trained on its tunes.
    """
    if tokenizer is None:
        tokenizer = train_tokenizer(map(make_tune, range(num_tunes)), vocab_size, TEMPLATE)
    records = [_record(number, content) for number in range(num_tunes)]
    work = folder.with_name(f"{folder.name}.work")
    settings = [content, num_tunes, vocab_size, row_former, max_length]
    with artifacts.writing(folder, "corpus", artifacts.fingerprint(settings), {}) as (new, facts):
        preparation = preparation_of(
            sources=write_sources(work, records),
            rows=row_settings(row_former, max_length),
            music=music_config(check=False),
            validation_fraction=0.1,
            test_fraction=0.1,
        )
        facts.update(prepare(preparation, tokenizer, LocalEngine(1), work, new))
    shutil.rmtree(work)
    return Corpus.open(folder)


def write_sources(folder: Path, records: Sequence[Record]) -> tuple[SourceSpec, ...]:
    """Write a file of records for each of their sources."""
    folder.mkdir(parents=True, exist_ok=True)
    by_source: dict[str, list[Record]] = {}
    for record in records:
        by_source.setdefault(record["source"], []).append(record)
    for name, some in by_source.items():
        lines = "".join(json.dumps(record) + "\n" for record in some)
        (folder / f"{name}.jsonl").write_text(lines)
    return tuple(
        source_spec(name, "files", str(folder / f"{name}.jsonl"), format="record")
        for name in by_source
    )


def _record(number: int, content: str) -> Record:
    record = {"id": f"made/{number}", "source": "made" if number % 2 else "other"}
    if content == "text":
        return {**record, "text": make_tune(number)}
    messages = [
        {"role": "user", "content": "Write a reel in D."},
        {"role": "assistant", "content": make_tune(number).strip()},
    ]
    return {**record, "messages": messages}
