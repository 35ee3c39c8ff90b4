"""Contestants of the data bench; each function does its work once and returns the seconds.

They run in processes of their own (`measuring`); imports, and creating and deleting temporary
files, are not timed.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from musicllm.bench import vocabulary
from musicllm.bench.texts import printed_tunes, read_jsonl, read_questions
from musicllm.data.engines import Engine
from musicllm.data.pipeline import prepare
from musicllm.data.settings import Preparation, RowSettings, SourceSpec
from musicllm.music.abc import AbcError, check, parse
from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.schema import DuplicatesConfig, MixConfig, MusicConfig

ONE_THREAD_PER_PROCESS = {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}


def bare_tokenizers(jsonl: Path, tokenizer: Path) -> float:
    """Encode all texts with the package `tokenizers` alone, in the fastest way.

    This is one call of `encode_batch_fast` (no character offsets) with the texts in memory, on all
    cores. Reading the file is not timed, and the tokens are discarded.
    """
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    core = vocabulary.fast(tokenizer).backend_tokenizer
    texts = read_jsonl(jsonl)
    started = time.perf_counter()
    core.encode_batch_fast(texts, add_special_tokens=False)
    return time.perf_counter() - started


def slow_loop(jsonl: Path, tokenizer: Path, num_processes: int | None) -> float:
    """Prepare texts one by one, as the published code of ChatMusician does.

    A slow tokenizer (a Python class of transformers) encodes a text without special tokens,
    and the tokens become both `input_ids` and `labels`; `datasets.map` calls this for every
    sample, in one process or in several, and the result is saved. Nothing is packed or checked.
    Reading the file with `datasets` is not timed.
    """
    os.environ.update(ONE_THREAD_PER_PROCESS)
    import datasets

    slow = vocabulary.slow(tokenizer)

    def tokenize(sample: dict[str, str]) -> dict[str, list[int]]:
        ids = slow(sample["text"], return_attention_mask=False, add_special_tokens=False).input_ids
        return {"input_ids": ids, "labels": ids}

    with tempfile.TemporaryDirectory(dir=jsonl.parent) as folder:
        raw = datasets.load_dataset(
            "json", data_files=str(jsonl), split="train", cache_dir=f"{folder}/cache"
        )
        started = time.perf_counter()
        tokenized = raw.map(tokenize, num_proc=num_processes, remove_columns=["text"])
        tokenized.save_to_disk(f"{folder}/made")
        return time.perf_counter() - started


def ours(
    jsonl: Path, tokenizer: Path, engine: Callable[[], Engine], questions: Path | None
) -> float:
    """Prepare a corpus: read, (check, find duplicates and questions), tokenize, pack, write.

    Everything is timed from the jsonl file to the rows with their checksums, including the start of
    the worker processes and their imports.

    Args:
        jsonl: the texts.
        tokenizer: folder of `vocabulary.train`.
        engine: creates the engine.
        questions: file of questions for decontamination; also enables checks of tunes, and exact,
            near and melodic deduplication. None for none of these.
    """
    loaded = vocabulary.fast(tokenizer)
    plan = preparation(jsonl, questions)
    with tempfile.TemporaryDirectory(dir=jsonl.parent) as folder:
        output = Path(folder) / "made"
        output.mkdir()
        started = time.perf_counter()
        prepare(plan, loaded, engine(), Path(folder) / "work", output)
        return time.perf_counter() - started


EVERY_TUNE = MusicConfig(
    check=True,
    repair=True,
    normalize=False,
    on_fault="drop",
    min_share_fitting=0.8,
    min_bars=4,
    min_notes=12,
    max_bars=DEFAULT_LIMITS.max_bars,
    max_tune_chars=DEFAULT_LIMITS.max_tune_chars,
)
EVERY_COPY = DuplicatesConfig(
    exact=True, near_similarity=0.8, melodic_similarity=0.6, related_similarity=0.25
)
"""What the bench does about tunes and duplicates where everything is on."""


def preparation(jsonl: Path, questions: Path | None) -> Preparation:
    """Return the settings of `ours`: packed rows of 2,048 tokens, all for training."""
    source = SourceSpec(
        name="texts",
        reader="files",
        location=str(jsonl),
        format="auto",
        max_records=None,
        cache=None,
        revision=None,
        kinds=(),
        named_splits=True,
        where=(),
        min_chars=None,
    )
    plain = Preparation(
        sources=(source,),
        rows=RowSettings("pack", 2048, "drop", None, audio_tokens=0),
        music=replace(EVERY_TUNE, check=False),
        duplicates=replace(EVERY_COPY, exact=False, near_similarity=None, melodic_similarity=None),
        questions=(),
        transpose_semitones=(0,),
        instructions=None,
        validation_fraction=0.0,
        test_fraction=0.0,
        mix=MixConfig("source", {}, "documents", {}, {}),
        max_reject_fraction=1.0,
        seed=0,
        translation=None,
        system_prompts=(),
        also_write=(),
    )
    if questions is None:
        return plain
    return replace(
        plain,
        music=EVERY_TUNE,
        duplicates=EVERY_COPY,
        questions=read_questions(questions),
    )


def abc_checks(num_repeats: int) -> float:
    """Parse and check every tune of the free books, and return the CPU seconds."""
    tunes = [tune.text for tune in printed_tunes()]
    started = time.process_time()
    for _ in range(num_repeats):
        for text in tunes:
            try:
                check(parse(text))
            except AbcError:
                continue
    return time.process_time() - started
