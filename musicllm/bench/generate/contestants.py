"""The contestants: each loads the model and goes on from every beginning once.

Timed is from texts to texts, including tokenization, not loading. A short text comes first, so that
one-time setup is not timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from transformers import GenerationConfig

from musicllm import console
from musicllm.bench.generate.task import WritingSettings, WritingTask, Written
from musicllm.data.encoder import Encoder
from musicllm.inference.engines.local import LocalEngine
from musicllm.inference.requests import SamplingSettings, WritingRequest
from musicllm.model import base
from musicllm.music import abc
from musicllm.music.grammar import TuneRules

WARM_UP_TOKENS = 4


def ours(task: WritingTask, rules: TuneRules | None) -> Written:
    """Write with the engine that `stage=generate` has."""
    model, tokenizer = _loaded(task)
    engine = LocalEngine(model, tokenizer, batch_size=task.settings.batch_size)

    def write(beginnings: Sequence[str], settings: SamplingSettings) -> tuple[list[str], int]:
        requests = [
            WritingRequest(None, text, settings, task.seed + number, rules)
            for number, text in enumerate(beginnings)
        ]
        completions = dict(engine.write(requests))
        texts = [completions[number].text for number in range(len(beginnings))]
        return texts, sum(completion.num_new_tokens for completion in completions.values())

    return _timed(task, write)


def generate(task: WritingTask) -> Written:
    """Write with `generate` of transformers, in padded batches of like length."""
    model, tokenizer = _loaded(task)
    encoder = Encoder(tokenizer)
    ends = encoder.end_ids

    def write(beginnings: Sequence[str], settings: SamplingSettings) -> tuple[list[str], int]:
        torch.manual_seed(task.seed)
        config = GenerationConfig(
            do_sample=True,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=ends,
            pad_token_id=ends[0],
        )
        rows = sorted((encoder.text(text, is_whole=False), n) for n, text in enumerate(beginnings))
        rows.sort(key=lambda row: len(row[0]))
        texts, num_tokens = [""] * len(rows), 0
        for start in range(0, len(rows), task.settings.batch_size):
            batch = rows[start : start + task.settings.batch_size]
            for (_, number), ids in zip(batch, _generated(model, batch, config), strict=True):
                own = ids[: next((n for n, token in enumerate(ids) if token in ends), len(ids))]
                texts[number] = encoder.decode(own)
                num_tokens += len(own)
        return texts, num_tokens

    return _timed(task, write)


def _generated(
    model: Any, batch: Sequence[tuple[list[int], int]], config: GenerationConfig
) -> list[list[int]]:
    longest = max(len(ids) for ids, _ in batch)
    padded = [[ids[0]] * (longest - len(ids)) + ids for ids, _ in batch]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids, _ in batch]
    sequences = model.generate(
        input_ids=torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=config,
    )
    return sequences[:, longest:].tolist()  # type: ignore[no-any-return]


def _loaded(task: WritingTask) -> tuple[Any, Any]:
    location = task.model.location
    assert location is not None, "the bench refuses random weights"
    trusts, revision = task.model.trust_remote_code, task.model.revision
    return loaded(location, task.settings, revision=revision, trust_remote_code=trusts)


def loaded(
    location: str,
    settings: WritingSettings,
    *,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> tuple[Any, Any]:
    """Load model and tokenizer as they are stored, in float32 on a CPU."""
    console.mute()
    transformers.utils.logging.disable_progress_bar()
    if settings.num_threads is not None:
        torch.set_num_threads(settings.num_threads)
    trusted = trust_remote_code
    dtype = "float32"
    if settings.device != "cpu":
        stored = base.load_config(location, revision=revision, trust_remote_code=trusted).dtype
        dtype = str(stored).removeprefix("torch.")
    model: Any = base.load(
        location, dtype=dtype, attention=None, revision=revision, trust_remote_code=trusted
    ).to(settings.device)
    return model, base.load_tokenizer(location, revision=revision)


def _timed(
    task: WritingTask,
    write: Callable[[Sequence[str], SamplingSettings], tuple[list[str], int]],
) -> Written:
    settings = task.settings.sampling
    short = SamplingSettings(0.8, 0, 0.95, 1.0, max(WARM_UP_TOKENS, settings.max_new_tokens // 2))
    write(task.beginnings[:1], short)
    began = time.perf_counter()
    texts, num_tokens = write(task.beginnings, settings)
    seconds = time.perf_counter() - began
    checks = [_bars(start + text) for start, text in zip(task.beginnings, texts, strict=True)]
    tunes = [check for check in checks if check is not None]
    return Written(seconds, num_tokens, len(tunes), sum(tunes))


def _bars(text: str) -> bool | None:
    """Return whether every bar of the tune in a text fits; None where it does not parse."""
    spans = abc.find_tunes(text)
    try:
        scores = [abc.parse(text[span.start : span.stop]) for span in spans]
    except abc.AbcError:
        return None
    checks = [abc.check(score) for score in scores]
    return all(check.num_fitting == check.num_bars for check in checks) if checks else None
