"""Texts that a model writes after many prompts, in portions that processes share.

Every prompt has a random stream of its own, so one and several processes write the same. A finished
portion is stored.
"""

from __future__ import annotations

import dataclasses
from collections import ChainMap
from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import nn

from musicllm import artifacts, console
from musicllm.console import Advance
from musicllm.data.encoder import Encoder
from musicllm.inference.decoding.loop import Prompt, Writer
from musicllm.inference.requests import Completion, SamplingSettings
from musicllm.inference.scorer.scorer import Memoize
from musicllm.inference.scorer.team import Team

PORTION = 4
"""Batches that are stored together: within them, places that get free are filled."""


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
        seed: of the first prompt; the others count on.
        batch_size: prompts that are continued together.
        team: the processes that share the portions; each gets all completions.
        memoize: where finished portions are stored and looked up.
    """
    order = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    size = batch_size * PORTION
    portions = [order[start : start + size] for start in range(0, len(order), size)]
    mine = portions[team.rank :: team.size]
    remember = memoize or (lambda _, write: write())
    writer = Writer(model, encoder, batch_size)
    completions: dict[int, Completion] = {}
    with console.progress("writing", sum(map(len, mine)), "text") as advance:
        for places in mine:
            portion = [Prompt(list(prompts[n]), settings, seed + n) for n in places]
            name = artifacts.fingerprint([dataclasses.asdict(prompt) for prompt in portion])
            rows = remember(f"written-{name}", partial(_written, writer, portion, advance))
            completions |= {n: Completion(*row) for n, row in zip(places, rows, strict=True)}
    merged = dict(ChainMap(*team.gather(completions)))
    return [merged[place] for place in range(len(prompts))]


def _written(writer: Writer, prompts: Sequence[Prompt], advance: Advance) -> list[Any]:
    """Return the values of completions, as JSON has them."""
    completions: dict[int, Completion] = {}
    for number, completion in writer.write(prompts):
        completions[number] = completion
        advance(1)
    return [dataclasses.astuple(completions[number]) for number in range(len(prompts))]
