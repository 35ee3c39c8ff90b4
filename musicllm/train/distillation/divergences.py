"""Divergences of a student's distribution q from a teacher's p, with their gradients.

    forward_kl      sum p (log p - log q)         Hinton et al., arXiv 1503.02531
    reverse_kl      sum q (log q - log p)         MiniLLM, arXiv 2306.08543
    jensen_shannon  b KL(p, m) + (1 - b) KL(q, m) with m = b p + (1 - b) q;
                    generalised as in GKD, arXiv 2306.13649

With forward KL a student covers all that the teacher finds probable; with reverse KL it avoids what
the teacher finds improbable. Computed in float32 from logarithms; a probability of 0 contributes
its limit, and infinity to reverse KL where only the teacher's is 0.

Axes: P tokens, V outcomes: the vocabulary, or a teacher's tokens and the rest as one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Divergence(NamedTuple):
    """A divergence of P pairs of distributions.

    Attributes:
        values: float32 [P], in nats.
        slopes: float32 [P, V], q times the derivative in q. The derivative in the student's logits
            is `slopes - q * slopes.sum(-1)`.
    """

    values: Tensor
    slopes: Tensor


def forward_kl(log_q: Tensor, log_p: Tensor, _teacher_share: float) -> Divergence:
    """Return KL(p, q).

    Args:
        log_q: float32 [P, V], of the student.
        log_p: float32 [P, V], of the teacher.
    """
    p = log_p.exp()
    values = _times(p, log_p - log_q).sum(-1)
    return Divergence(values, p.neg_())


def reverse_kl(log_q: Tensor, log_p: Tensor, _teacher_share: float) -> Divergence:
    """Return KL(q, p); see `forward_kl`."""
    q = log_q.exp()
    terms = _times(q, log_q - log_p)
    return Divergence(terms.sum(-1), terms.add_(q))


def jensen_shannon(log_q: Tensor, log_p: Tensor, teacher_share: float) -> Divergence:
    """Return the generalised Jensen-Shannon divergence; see `forward_kl`.

    Args:
        log_q: see there.
        log_p: see there.
        teacher_share: b above. Towards 0, divided by b, it is forward KL; towards 1, divided by
            1 - b, it is reverse KL.
    """
    own = 1 - teacher_share
    log_m = torch.logaddexp(log_p + math.log(teacher_share), log_q + math.log(own))
    of_teacher = _times(log_p.exp(), log_p - log_m).sum(-1)
    of_student = _times(log_q.exp(), log_q - log_m)
    values = teacher_share * of_teacher + own * of_student.sum(-1)
    return Divergence(values, of_student.mul_(own))


def _times(probability: Tensor, difference: Tensor) -> Tensor:
    """Return the product in place of the difference, 0 where the probability is."""
    return difference.mul_(probability).masked_fill_(probability == 0, 0.0)


DIVERGENCES: Mapping[str, Callable[[Tensor, Tensor, float], Divergence]] = {
    "forward_kl": forward_kl,
    "reverse_kl": reverse_kl,
    "jensen_shannon": jensen_shannon,
}
"""By `objective.divergence`."""
