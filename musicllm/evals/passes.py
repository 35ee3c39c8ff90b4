"""Passes through a causal language model that score chosen tokens.

Sequences are sorted by length and padded on the right, which causal attention never sees, so a
score does not depend on what shares its batch beyond rounding. Log-probabilities are float32
whatever the weights are. What is scored, and why, is decided in `likelihood`.

Axes: B sequences, T tokens, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from musicllm import console

MAX_BATCH_TOKENS = 4096
MAX_BATCH_LOGITS = 2**26
"""Logits of one batch, B x T x V: 256 MiB in float32. One sequence is never divided for it."""

MAX_CACHED_TOKENS = 16_384
"""Tokens of a common beginning, counted once per sequence of a batch, in the key-value cache."""


@dataclass(frozen=True)
class Pass:
    """A sequence that is fed once, and the tokens whose likelihood is wanted behind positions."""

    owner: int
    inputs: tuple[int, ...]
    positions: tuple[int, ...]
    tokens: tuple[int, ...]


def begin(model: PreTrainedModel, ids: tuple[int, ...]) -> tuple[float, DynamicCache | None]:
    """Feed what all sequences begin with, but for its last token, once.

    Returns:
        The NLL of all its tokens but the first, and the keys and values that the others need.
    """
    if len(ids) < 2:
        return 0.0, None
    cache = DynamicCache(config=model.config)
    one = Pass(0, ids[:-1], tuple(range(len(ids) - 1)), ids[1:])
    with _evaluating(model):
        (nll,) = _forward(model, [one], cache)
    return float(nll.sum(dtype=torch.float64)), cache


def scored(
    model: PreTrainedModel, passes: list[Pass], description: str, cache: DynamicCache | None = None
) -> Iterator[tuple[Pass, Tensor]]:
    """Yield each pass with the NLL of its tokens, in nats: float32 on the CPU.

    Args:
        model: its dropout is off while it scores.
        passes: in any order; they come back in another.
        description: of the progress bar.
        cache: from `begin`; what all sequences continue.
    """
    with (
        _evaluating(model),
        console.progress(description, len(passes), "sequence") as advance,
    ):
        begun = cache.get_seq_length() if cache else 0
        for batch in _batches(passes, model.config.vocab_size, begun):
            rows = copy.deepcopy(cache)
            if rows is not None:
                rows.batch_repeat_interleave(len(batch))
            yield from zip(batch, _forward(model, batch, rows), strict=True)
            advance(len(batch))


@contextmanager
def _evaluating(model: PreTrainedModel) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _batches(passes: list[Pass], vocab_size: int, begun: int) -> Iterator[list[Pass]]:
    """Group the longest first, so that memory that does not suffice is found at once."""
    max_tokens = min(MAX_BATCH_TOKENS, MAX_BATCH_LOGITS // vocab_size)
    batch: list[Pass] = []
    for one in sorted(passes, key=lambda one: -len(one.inputs)):
        size = len(batch) + 1
        if batch and (size * len(batch[0].inputs) > max_tokens or size * begun > MAX_CACHED_TOKENS):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


@torch.inference_mode()
def _forward(model: PreTrainedModel, batch: list[Pass], cache: DynamicCache | None) -> list[Tensor]:
    """Return the NLL of each pass's tokens; what is fed goes into the cache, if there is one."""
    longest = max(len(one.inputs) for one in batch)
    padded = [[*one.inputs, *[0] * (longest - len(one.inputs))] for one in batch]
    inputs = torch.tensor(padded, device=model.device)
    logits = model(input_ids=inputs, past_key_values=cache, use_cache=cache is not None).logits
    logits = logits.float()
    wanted = [
        (row, *step)
        for row, one in enumerate(batch)
        for step in zip(one.positions, one.tokens, strict=True)
    ]
    rows, positions, tokens = torch.tensor(wanted, device=logits.device).unbind(1)
    normalisers = logits.logsumexp(-1)
    nll = (normalisers[rows, positions] - logits[rows, positions, tokens]).cpu()
    return list(nll.split([len(one.tokens) for one in batch]))
