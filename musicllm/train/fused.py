"""Losses of a linear head, with the gradient taken in the forward pass: cross entropy, and others.

The gradient of a sum over tokens is the sum of their gradients, so each piece of logits is computed
once, turned into its gradient in place and discarded: nothing is computed twice and only one piece
exists at a time (as in Liger Kernel, arXiv 2410.10989). A frozen head needs no gradient. On a GPU
with liger-kernel its kernel is used, elsewhere plain torch.

`torch.nn.functional.linear_cross_entropy` of torch 2.13 is not used: with its options it sums the
loss in the dtype of the hidden states, which in bfloat16 has an error of parts in a thousand, and
on a CPU it took 2 to 10 times as long.

Axes: S supervised tokens, P of them in a piece, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from musicllm.model.head import NO_ADJUSTMENT, Adjustment
from musicllm.model.rows import HeadWithRows, head_with_rows
from musicllm.train.capabilities import probe


class PieceLoss(NamedTuple):
    """The loss of a piece.

    Attributes:
        value: float32 scalar, summed over its tokens.
        gradient: of it in the logits, [P, V] in their dtype.
        terms: float32 [number of terms], parts of the value for metrics; None for none.
    """

    value: Tensor
    gradient: Tensor
    terms: Tensor | None = None


OfLogits: TypeAlias = Callable[[Tensor, slice], PieceLoss]
"""From the logits of a piece, [P, V], which stay as they are, and its place among the S tokens."""


class Pieces(NamedTuple):
    """A loss of logits, piece by piece.

    Attributes:
        size: P.
        of_logits: the loss of a piece.
        adjustment: of the logits, before the loss.
        num_terms: of the loss.
    """

    size: int
    of_logits: OfLogits
    adjustment: Adjustment
    num_terms: int = 0


def as_linear(head: object) -> nn.Linear | HeadWithRows | None:
    """Return the linear layer, with or without a bias, of a head; None if the head is more.

    PEFT's copy of a head that is trained whole counts as the head, and so does a head of which only
    new rows are trained. A head with hooks, such as those with which ZeRO-3 gathers its weights,
    has to be called and is none.
    """
    if (with_rows := head_with_rows(head)) is not None and not _is_watched(head):
        return with_rows
    modules = getattr(head, "modules_to_save", None)
    inner = modules[head.active_adapters[0]] if modules else head  # type: ignore[attr-defined]
    if type(inner) is not nn.Linear or _is_watched(inner) or _is_watched(head):
        return None
    return inner


def sum_nll(
    states: Tensor,
    head: nn.Linear | HeadWithRows,
    tokens: Tensor,
    piece: int,
    adjustment: Adjustment = NO_ADJUSTMENT,
) -> Tensor:
    """Return the summed negative log-likelihood, in nats.

    Computed in the dtype of autocast where that is on; softmax, sums and the gradient of the head
    in float32. The result can be differentiated once.

    Args:
        states: [S, D].
        head: from D to V.
        tokens: int64 [S], the targets.
        piece: P, the most tokens whose logits exist at a time.
        adjustment: of the logits, behind the head.

    Returns:
        float32 scalar.
    """
    device = states.device.type
    is_liger = device == "cuda" and probe("gpu").fused_loss and len(tokens)
    if is_liger and isinstance(head, nn.Linear) and adjustment.scale == 1:
        inputs = _cast(states, head)
        with torch.autocast(device, enabled=False):
            return _liger(*inputs, tokens, adjustment.cap)
    return sum_loss(states, head, Pieces(piece, partial(_nll, tokens), adjustment))[0]


def sum_loss(
    states: Tensor, head: nn.Linear | HeadWithRows, pieces: Pieces
) -> tuple[Tensor, Tensor]:
    """Return a loss summed over pieces; see `sum_nll`.

    Args:
        states: [S, D].
        head: from D to V.
        pieces: the loss.

    Returns:
        float32 scalar, and float32 [num_terms] without a gradient.
    """
    is_partly_new = isinstance(head, HeadWithRows)
    of_rows = (head.trained, head.indices) if is_partly_new else (None, None)
    inputs = _cast(states, head)
    with torch.autocast(states.device.type, enabled=False):
        sums: tuple[Tensor, Tensor] = _SumLoss.apply(*inputs, pieces, *of_rows)  # type: ignore[no-untyped-call]
    return sums


def _cast(states: Tensor, head: nn.Linear | HeadWithRows) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return states, matrix and bias in the dtype of autocast, or of the states without it."""
    device, dtype = states.device.type, states.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    bias = None if isinstance(head, HeadWithRows) or head.bias is None else head.bias.to(dtype)
    return states.to(dtype), head.weight.to(dtype), bias


class _SumLoss(torch.autograd.Function):
    """Sum and gradient in one pass over the pieces."""

    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes by position
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        pieces: Pieces,
        new: Tensor | None,
        indices: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        of_states = torch.empty_like(states)
        of_weight = _sum_for(weight) if ctx.needs_input_grad[1] else None
        of_bias = _sum_for(bias) if bias is not None and ctx.needs_input_grad[2] else None
        of_new = None if new is None else _sum_for(new)
        total = torch.zeros((), device=states.device)
        terms = torch.zeros(pieces.num_terms, device=states.device)
        for begin in range(0, len(states), pieces.size):
            part = slice(begin, begin + pieces.size)
            logits = nn.functional.linear(states[part], weight, bias)
            if pieces.adjustment.is_none:
                value, grad_logits, parts = pieces.of_logits(logits, part)
            else:
                value, grad_logits, parts = _adjusted(logits, part, pieces)
            total += value
            if parts is not None:
                terms += parts
            torch.mm(grad_logits, weight, out=of_states[part])
            if of_weight is not None:
                of_weight += grad_logits.t() @ states[part]
            if of_bias is not None:
                of_bias += grad_logits.sum(0, dtype=torch.float32)
            if of_new is not None and indices is not None:
                of_new += grad_logits.index_select(1, indices).t() @ states[part]
        ctx.save_for_backward(of_states, of_weight, of_bias, of_new)
        ctx.dtype = weight.dtype
        ctx.mark_non_differentiable(terms)
        return total, terms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _of_terms: Tensor) -> tuple[Tensor | None, ...]:
        states, *of_head, new = (None if t is None else t.mul_(grad) for t in ctx.saved_tensors)
        of_head = [None if tensor is None else tensor.to(ctx.dtype) for tensor in of_head]
        return states, *of_head, None, new, None


def _sum_for(parameter: Tensor) -> Tensor:
    """Return zeros to add up a gradient in."""
    return torch.zeros_like(parameter, dtype=torch.float32)


def _nll(tokens: Tensor, logits: Tensor, part: slice) -> PieceLoss:
    """Return the negative log-likelihood of a piece; its gradient is softmax less one-hot."""
    targets = tokens[part]
    log_p = logits.log_softmax(-1, dtype=torch.float32)
    rows = torch.arange(len(targets), device=targets.device)
    nll = -log_p[rows, targets].sum()
    gradient = log_p.exp_()
    gradient[rows, targets] -= 1
    return PieceLoss(nll, gradient.to(logits.dtype))


def _adjusted(logits: Tensor, part: slice, pieces: Pieces) -> PieceLoss:
    """Return the loss of a piece whose logits the model adjusts.

    With t = tanh(scale * logits / cap) they become cap * t, whose derivative is scale * (1 - t^2).
    Changes float32 logits in place, and copies others.
    """
    scale, cap = pieces.adjustment.scale, pieces.adjustment.cap
    values = logits.float()
    values = values.mul_(scale) if cap is None else values.mul_(scale / cap).tanh_().mul_(cap)
    value, gradient, terms = pieces.of_logits(values, part)
    gradient.mul_(scale)
    if cap is not None:
        gradient.mul_(values.div_(cap).square_().neg_().add_(1))
    del values  # its memory is free before the gradient is copied
    return PieceLoss(value, gradient.to(logits.dtype), terms)


def _liger(
    states: Tensor, weight: Tensor, bias: Tensor | None, tokens: Tensor, cap: float | None
) -> Tensor:
    from liger_kernel.transformers.functional import (  # type: ignore[import-not-found, unused-ignore]
        liger_fused_linear_cross_entropy,
    )

    total: Tensor = liger_fused_linear_cross_entropy(
        states,
        weight,
        tokens,
        bias=bias,
        reduction="sum",
        softcap=cap,
        accum_dtype=torch.float32,
    )
    return total


def _is_watched(module: object) -> bool:
    # private: `torch.nn.Module` registers hooks and has no public way to ask for them
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, kind, None) for kind in kinds)
