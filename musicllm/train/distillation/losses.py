"""The loss of distillation: in pieces of logits, with the gradient taken in the forward pass.

    w NLL + (1 - w) T^2 D(teacher at T, student at T)

summed over the supervised tokens, with w `objective.plain_weight` and T `objective.temperature`.
The square keeps the gradient's size when T changes (arXiv 1503.02531, section 2). As in
`train.loss` only one piece of logits exists at a time, of the student and of the teacher; a head
that is not a plain linear layer is called again in the backward pass, and the teacher's, too.

Axes: S supervised tokens, P of them in a piece, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from musicllm.model.head import NO_ADJUSTMENT, Head
from musicllm.train import fused, loss
from musicllm.train.distillation.targets import Settings
from musicllm.train.distillation.teachers import Compare
from musicllm.train.fused import OfLogits, PieceLoss, Pieces

TERMS = ("nll", "divergence")
"""Parts of the loss before their weights, in nats; the divergence at its temperature."""


def sum_loss(
    states: Tensor,
    head: Callable[[Tensor], Tensor],
    tokens: Tensor,
    compare: Compare,
    settings: Settings,
    *,
    vocab_size: int,
) -> tuple[Tensor, Tensor]:
    """Return the summed loss of the supervised tokens, and its terms.

    Time is S x (D of student and teacher) x V. Memory: the inputs' gradients as in
    `train.loss.sum_nll`, and of one piece about six arrays of P x V float32.

    Args:
        states: [S, D], inputs of the student's head.
        head: a `Head`, or any other way from [., D] to logits [., V].
        tokens: int64 [S], the supervised ones.
        compare: with the teacher.
        settings: weights and temperature.
        vocab_size: V.

    Returns:
        float32 scalar, which can be differentiated once, and float32 [2] without a gradient: the
        sums of `TERMS`.
    """
    piece = loss.piece_of(states.device, vocab_size)
    module, adjustment = (
        (head.module, head.adjustment) if isinstance(head, Head) else (head, NO_ADJUSTMENT)
    )
    of_logits = partial(_piece, tokens, compare, settings)
    linear = fused.as_linear(module)
    if linear is not None and torch.is_grad_enabled():
        return fused.sum_loss(states, linear, Pieces(piece, of_logits, adjustment, len(TERMS)))
    parts = loss.slices(len(tokens), piece)
    if len(parts) == 1:
        return _of_head(states, head, of_logits, parts[0])
    sums = [
        checkpoint(_of_head, states[part], head, of_logits, part, use_reentrant=False)
        for part in parts
    ]
    totals, terms = zip(*sums, strict=True)
    return torch.stack(totals).sum(), torch.stack(terms).sum(0)


def _piece(
    tokens: Tensor, compare: Compare, settings: Settings, logits: Tensor, part: slice
) -> PieceLoss:
    """Return the loss of a piece of logits, [P, V], which stay as they are."""
    values, targets, weight = logits.float(), tokens[part], settings.plain_weight
    divergence, gradient = compare(values, part)
    scale = (1 - weight) * settings.temperature**2
    gradient.mul_(scale)
    log_q = values.log_softmax(-1)
    rows = torch.arange(len(targets), device=targets.device)
    nll = -log_q[rows, targets].sum()
    if weight:
        gradient.add_(log_q.exp_(), alpha=weight)
        gradient[rows, targets] -= weight
    terms = torch.stack([nll, divergence.sum()])
    value = weight * terms[0] + scale * terms[1]
    return PieceLoss(value, gradient.to(logits.dtype), terms)


def _of_head(
    states: Tensor, head: Callable[[Tensor], Tensor], of_logits: OfLogits, part: slice
) -> tuple[Tensor, Tensor]:
    """Return the loss of a piece of states, [P, D], through any head."""
    sums: tuple[Tensor, Tensor] = _OfLogits.apply(head(states), of_logits, part)  # type: ignore[no-untyped-call]
    return sums


class _OfLogits(torch.autograd.Function):
    """The loss of given logits, with its gradient computed beside it."""

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, of_logits: OfLogits, part: slice
    ) -> tuple[Tensor, Tensor]:
        value, gradient, terms = of_logits(logits, part)
        assert terms is not None, "this loss has terms"
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(terms)
        return value, terms

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _of_terms: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad, None, None
