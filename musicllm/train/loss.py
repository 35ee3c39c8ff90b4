"""The loss: negative log-likelihood of the supervised tokens, summed.

The caller divides by the number of supervised tokens of the whole optimizer step, so another
division of a step into micro-batches or ranks changes the loss only by rounding. Logits are
computed only where the next token is supervised, and in pieces of at most `LOGITS_AT_ONCE`.

For a linear head `fused` computes the gradient of each piece; any other head is called piece by
piece, and again for its gradient. What the model does to its logits behind the head, such as a soft
cap, is part of the `model.head.Head`.

Axes: N tokens of the micro-batch, S supervised ones, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from musicllm.data.batches import IGNORED
from musicllm.model.head import NO_ADJUSTMENT, Head
from musicllm.train import fused, group

LOGITS_AT_ONCE = 1 << 23
"""Most logits in one piece: 32 MiB in float32, which is 2.5 times as fast on a CPU, by its caches,
as one large piece."""

TIMES_ON_GPU = 8
"""Factor of the size of pieces on a GPU, for its utilisation."""


def supervised_positions(labels: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return which hidden states predict a supervised token, and those tokens.

    A document's first token, at position 0, is never a target.

    Args:
        labels: int64 [1, N], not shifted, -100 where not supervised.
        position_ids: int64 [1, N], from 0 in every document.

    Returns:
        Indices into the N tokens, int64 [S], and their targets, int64 [S].
    """
    is_target = (labels[0] != IGNORED) & (position_ids[0] != 0)
    targets = is_target.nonzero().squeeze(1)
    return targets - 1, labels[0, targets]


def sum_nll(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    labels: Tensor,
    position_ids: Tensor,
    *,
    vocab_size: int,
) -> Tensor:
    """Return the summed negative log-likelihood of the supervised tokens, in nats.

    Time is S x D x V; memory is one piece of logits and, in training, the gradients of the inputs:
    S x D elements, and D x V for a trained head. A head that is not a plain linear layer (LoRA, 4
    bits, or gathered by ZeRO-3) is recomputed in the backward pass instead.

    Args:
        hidden: [1, N, D], the decoder's last hidden states.
        head: a `Head`, or any other way from hidden states [., D] to logits [., V].
        labels: int64 [1, N]; see `supervised_positions`.
        position_ids: int64 [1, N].
        vocab_size: V.

    Returns:
        float32 scalar, 0 when nothing is supervised; it has a gradient either way.
    """
    positions, tokens = supervised_positions(labels, position_ids)
    states = hidden[0].index_select(0, positions)
    piece = piece_of(hidden.device, vocab_size)
    module, adjustment = (
        (head.module, head.adjustment) if isinstance(head, Head) else (head, NO_ADJUSTMENT)
    )
    linear = fused.as_linear(module)
    if linear is not None and torch.is_grad_enabled():
        return fused.sum_nll(states, linear, tokens, piece, adjustment)
    parts = pieces(states, tokens, piece)
    if len(parts) == 1:
        return _nll(states, tokens, head)
    sums = [checkpoint(_nll, *part, head, use_reentrant=False) for part in parts]
    return torch.stack(sums).sum()


def piece_of(device: torch.device, vocab_size: int) -> int:
    """Return the most tokens of a piece."""
    times = 1 if device.type == "cpu" else TIMES_ON_GPU
    return max(1, times * LOGITS_AT_ONCE // vocab_size)


def slices(num_tokens: int, piece: int) -> list[slice]:
    """Return the places of pieces, equally many on all ranks; see `pieces`."""
    parts = [slice(begin, begin + piece) for begin in range(0, max(1, num_tokens), piece)]
    return parts + [slice(0, 0)] * (group.most(len(parts)) - len(parts))


def pieces(states: Tensor, tokens: Tensor, piece: int) -> list[tuple[Tensor, Tensor]]:
    """Split states and their tokens into pieces, equally many on all ranks.

    With ZeRO 3 every call of the head gathers it from all ranks, which would be a deadlock with
    different numbers of calls; so the last pieces of some ranks are empty.

    Args:
        states: [S, D].
        tokens: int64 [S].
        piece: most tokens in one.

    Returns:
        At least one pair.
    """
    parts = list(zip(torch.split(states, piece), torch.split(tokens, piece), strict=True))
    return parts + [(states[:0], tokens[:0])] * (group.most(len(parts)) - len(parts))


def _nll(states: Tensor, tokens: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    return functional.cross_entropy(head(states).float(), tokens, reduction="sum")
