"""Tunes that a model writes while it is trained: prompts, sampling, measurements and renderings.

The sampling callback (`train.callbacks.samples`) calls the function that is made here. Prompts are
what the corpus is made of: beginnings of texts, or user messages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

from torch import nn

from musicllm.data.corpus import Corpus
from musicllm.data.encoder import Encoder
from musicllm.errors import InputError, RenderError
from musicllm.evals import generation
from musicllm.evals.copies import CopyIndex
from musicllm.evals.generation import TuneRow
from musicllm.evals.requests import asks_for_tune
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.inference.sampling import sample
from musicllm.model import base
from musicllm.music.render import render_tune
from musicllm.schema import CallbacksConfig
from musicllm.serve.drawing import draw_requests
from musicllm.train.tunes import SampleReport, SampleTune, SampleWriter

BEGINNING = "X:1\n"
"""The prompt where there is no other: how a tune begins."""

MEASURED = (
    "parse_share", "bars_fitting", "bars_fitting_strict", "key_fit", "metre_as_asked",
    "key_as_asked", "finished", "bars_per_tune", "characters_per_tune",
)  # fmt: skip
"""Of what `evals.generation` measures; copies would need an index of the whole corpus."""


class Prompt(NamedTuple):
    """A prompt of a model.

    Attributes:
        text: as people read it.
        ids: its tokens.
        is_beginning: what is written goes on from it; otherwise it answers.
    """

    text: str
    ids: list[int]
    is_beginning: bool


def sample_writer(
    callbacks: CallbacksConfig,
    sampling: SamplingSettings,
    corpus: Corpus,
    *,
    seed: int,
    batch_size: int,
) -> SampleWriter:
    """Return the function that lets a model write.

    The same prompts and the same seed every time, so that what changes is the model.

    Args:
        callbacks: with `num_samples` and `sample_prompts`.
        sampling: settings of the sampling.
        corpus: that the model is trained on.
        seed: of sampling, and of the prompts that are taken from the corpus.
        batch_size: prompts at a time.

    Raises:
        InputError: no prompts, or prompts without room for an answer.
    """
    encoder = Encoder(base.load_tokenizer(corpus.tokenizer_path))
    prompts = _prompts(callbacks, corpus, encoder, seed)
    settings = _fitting(sampling, prompts, corpus.facts["max_length"])

    def write(model: nn.Module, _step: int, folder: Path | None) -> SampleReport:
        answers = sample(
            model,
            encoder,
            [prompt.ids for prompt in prompts],
            settings,
            seed=seed,
            batch_size=batch_size,
        )
        if folder is None:
            return SampleReport({}, [])
        return _report(prompts, answers, folder, seed)

    return write


def _prompts(
    callbacks: CallbacksConfig, corpus: Corpus, encoder: Encoder, seed: int
) -> list[Prompt]:
    texts, count = callbacks.sample_prompts, callbacks.num_samples
    if "messages" in next(corpus.records("train")):
        texts = texts or _requests(corpus, count, seed)
        turns = [[{"role": "user", "content": text}] for text in texts]
        prompts = [Prompt(t[0]["content"], encoder.prompt(t), False) for t in turns]
    else:
        texts = texts or [BEGINNING]
        prompts = [Prompt(text, encoder.text(text, is_whole=False), True) for text in texts]
    return list(islice(cycle(prompts), count))


def _requests(corpus: Corpus, count: int, seed: int) -> list[str]:
    """Return messages that ask for a tune, which the model is not trained on."""
    records = [record for record in corpus.records("validation") if asks_for_tune(record)]
    if not records:
        raise InputError(
            f"nobody asks for a tune in the validation split of {corpus.path}; write "
            f"callbacks.sample_prompts, or callbacks.samples_every_steps=null for no samples"
        )
    return draw_requests(records, min(count, len(records)), seed)


def _fitting(
    sampling: SamplingSettings, prompts: Sequence[Prompt], max_length: int
) -> SamplingSettings:
    """Limit new tokens so that no text is longer than the rows that the model is trained on."""
    longest = max(prompts, key=lambda prompt: len(prompt.ids))
    room = max_length - len(longest.ids)
    if room < 1:
        raise InputError(
            f"callbacks.sample_prompts: {longest.text[:60]!r} has {len(longest.ids)} tokens, and "
            f"the rows of the corpus hold {max_length}; write a shorter one"
        )
    return dataclasses.replace(sampling, max_new_tokens=min(sampling.max_new_tokens, room))


def _report(
    prompts: Sequence[Prompt], answers: Sequence[Completion], folder: Path, seed: int
) -> SampleReport:
    nothing = CopyIndex([])
    rows, tunes = [], []
    for number, (prompt, answer) in enumerate(zip(prompts, answers, strict=True), start=1):
        text = prompt.text + answer.text if prompt.is_beginning else answer.text
        row = generation.measure_tune(prompt.text, text, answer.finished, nothing)
        rows.append(row)
        score, sound = _render(row, folder, f"{number:03d}")
        tunes.append(SampleTune(prompt.text, text, score, sound))
    metrics = generation.summarise(rows, seed)
    values = {f"music/{name}": value for name in MEASURED if (value := metrics[name]) is not None}
    return SampleReport(values, tunes)


def _render(row: TuneRow, folder: Path, stem: str) -> tuple[Path | None, Path | None]:
    """Write a tune that parses as ABC, score and sound, and return the picture and the sound."""
    if not row.parses:
        return None, None
    (folder / f"{stem}.abc").write_text(row.abc.strip() + "\n", encoding="utf-8")
    try:
        rendering = render_tune(row.abc, folder, stem, also=("PNG",))
    except RenderError:
        return None, None
    return rendering.first(".png", ".svg"), rendering.first(".mp3", ".wav")
