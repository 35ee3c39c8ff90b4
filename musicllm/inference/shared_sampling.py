"""Texts that a model writes after many prompts, in batches that processes share.

Which prompts share a batch, and its seed, do not depend on the number of processes, so that one and
several write the same. A finished batch is stored.
"""

from __future__ import annotations

import dataclasses
import gc
from collections import ChainMap
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from musicllm import artifacts, console
from musicllm.data.encoder import Encoder
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.inference.sampling import sample
from musicllm.inference.scorer.memory import is_out_of_memory, too_large
from musicllm.inference.scorer.scorer import Memoize
from musicllm.inference.scorer.team import Team


def sample_all(
    model: nn.Module,
    encoder: Encoder,
    prompts: Sequence[Sequence[int]],
    settings: SamplingSettings,
    *,
    seed: int,
    batch_size: int,
    team: Team,
    memoize: Memoize | None = None,
) -> list[Completion]:
    """Continue every prompt; for errors see `inference.sampling.sample`.

    Args:
        model: any causal language model.
        encoder: of its tokenizer.
        prompts: tokens.
        settings: of the sampling.
        seed: of the first batch; the others count on.
        batch_size: prompts that are continued together.
        team: the processes that share the batches; each gets all completions.
        memoize: where finished batches are stored and looked up.
    """
    order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    mine = range(team.rank, len(batches), team.size)
    remember = memoize or (lambda _, write: write())
    completions: dict[int, Completion] = {}
    with console.progress(
        "writing", sum(len(batches[number]) for number in mine), "text"
    ) as advance:
        for number in mine:
            part = [list(prompts[place]) for place in batches[number]]
            write = partial(_written, model, encoder, part, settings, seed + number)
            name = artifacts.fingerprint([part, dataclasses.asdict(settings), seed + number])
            batch = [Completion(*values) for values in remember(f"written-{name}", write)]
            completions |= dict(zip(batches[number], batch, strict=True))
            advance(len(part))
    merged = dict(ChainMap(*team.gather(completions)))
    return [merged[place] for place in range(len(prompts))]


def _written(
    model: nn.Module,
    encoder: Encoder,
    prompts: list[list[int]],
    settings: SamplingSettings,
    seed: int,
) -> list[tuple[object, ...]]:
    """Return the values of completions of one batch, made in halves where memory is too small."""
    failure = None
    try:
        completions = sample(model, encoder, prompts, settings, seed=seed, batch_size=len(prompts))
        return [dataclasses.astuple(completion) for completion in completions]
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        failure = str(error)
    if len(prompts) == 1:
        raise too_large(failure)
    gc.collect()  # by now what the failed batch held is free
    torch.cuda.empty_cache()
    middle = len(prompts) // 2
    console.note(f"memory did not suffice; {len(prompts)} texts are written in two halves")
    halves = prompts[:middle], prompts[middle:]
    seeds = seed, seed + (len(prompts) << 32)  # no two parts of a batch draw the same
    return [
        row
        for half, own in zip(halves, seeds, strict=True)
        for row in _written(model, encoder, half, settings, own)
    ]
