"""The decoder on a row of documents that do not see each other, in attention or in a state.

Documents go through it packed, in one pass in which attention knows where each begins, or one by
one. One by one is exact for every class, and as fast where documents are long; a row of many short
ones costs a pass each. Which it is stands with the model, see `choose`; `certificate` proves it.

Axes: N tokens of the row, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from musicllm.model.anatomy import decoder_of, inspect
from musicllm.model.attention import packed

Isolation = Literal["packed", "one_by_one"]

ATTRIBUTE = "document_isolation"
"""Of a causal model: how it takes documents."""

WORDS: dict[Isolation, str] = {
    "packed": "packed, in one pass",
    "one_by_one": "one by one, a pass each",
}
"""For people."""


def choose(model: nn.Module, isolation: Isolation) -> None:
    """Set how a causal model takes the documents of a row."""
    setattr(model, ATTRIBUTE, isolation)


def isolation_of(model: nn.Module) -> Isolation:
    """Return how a causal model takes the documents of a row.

    Where nobody chose: one by one if a layer convolves over tokens or carries a state, which
    attention's boundaries do not reach, else packed.
    """
    if not hasattr(model, ATTRIBUTE):
        choose(model, "one_by_one" if inspect(model).stateful else "packed")
    isolation: Isolation = getattr(model, ATTRIBUTE)
    return isolation


def decode(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    position_ids: Tensor,
    cu_seq_lens: Tensor,
    *,
    most: Callable[[int], int] = int,
) -> Tensor:
    """Return the last hidden states of the decoder, [1, N, D].

    Args:
        model: a causal language model of transformers.
        inputs: of the decoder, with a value per token along the second axis: `input_ids` [1, N].
        position_ids: int64 [1, N], from 0 in every document.
        cu_seq_lens: int32 [documents + 1], where documents begin and the last one ends.
        most: from a number of passes to the largest on any rank, so that ranks that gather weights
            in each pass stay in step.
    """
    decoder = decoder_of(model)
    if isolation_of(model) == "packed":
        output = decoder(
            **inputs, position_ids=position_ids, use_cache=False, **packed(cu_seq_lens)
        )
        hidden: Tensor = output.last_hidden_state
        return hidden
    ends = cu_seq_lens.tolist()
    passes = [slice(*pair) for pair in pairwise(ends)]
    states = [_pass(decoder, inputs, part) for part in passes]
    for _ in range(most(len(passes)) - len(passes)):
        states[0] = states[0] + 0 * _pass(decoder, inputs, slice(0, 1))
    return torch.cat(states, dim=1)


def _pass(decoder: nn.Module, inputs: Mapping[str, Tensor], part: slice) -> Tensor:
    document = {name: tensor[:, part] for name, tensor in inputs.items()}
    hidden: Tensor = decoder(**document, use_cache=False).last_hidden_state
    return hidden
