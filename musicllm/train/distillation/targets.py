"""What a teacher says of supervised tokens: the whole vocabulary, or its k most probable tokens.

The probabilities of the other tokens are added up and count as one outcome, so that nothing has to
be assumed of them: the divergence of the merged outcomes is at most that of all, and equals it
where the student spreads the rest as the teacher does. Stored in float16, by the same function on
the fly and in a store, so that both train alike.

Axes: P tokens of a piece, S supervised ones, k tokens of the teacher, V vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from musicllm.data.batches import TeacherTop
from musicllm.train.distillation.divergences import DIVERGENCES, Divergence


class Settings(NamedTuple):
    """How student and teacher are compared; see `schema.ObjectiveConfig`.

    Attributes:
        divergence: its name.
        teacher_share: of `jensen_shannon`; of no effect on the others.
        temperature: divides the logits of both.
        plain_weight: of the negative log-likelihood.
    """

    divergence: str
    teacher_share: float
    temperature: float
    plain_weight: float


def top_of(logits: Tensor, k: int, temperature: float) -> TeacherTop:
    """Return the k most probable tokens of a teacher, and the rest as one.

    Cost: one pass over the logits and a partial sort; a float32 copy of them is in memory.

    Args:
        logits: [P, tokens] of any floating dtype, without rows that stand for no token.
        k: tokens, at least 1 and less than V.
        temperature: divides the logits.
    """
    assert 1 <= k < logits.shape[-1], f"{k} of {logits.shape[-1]} tokens leave no rest"
    log_p = (logits.float() / temperature).log_softmax(-1)
    values, ids = log_p.topk(k, dim=-1)
    rest = log_p.scatter_(-1, ids, float("-inf")).logsumexp(-1)
    return {"values": values.half(), "ids": ids.int(), "rest": rest.half()}


def of_top(logits: Tensor, top: TeacherTop, settings: Settings) -> tuple[Tensor, Tensor]:
    """Return the divergence of students from the k tokens of a teacher, and its gradient.

    Args:
        logits: float32 [P, V], of the student; not changed.
        top: values [P, k], ids [P, k] and rest [P], at the same temperature. They are scaled to add
            up to 1, which their rounding to float16 does not.
        settings: of the comparison.

    Returns:
        float32 [P] in nats, and its derivative in the logits, float32 [P, V]; neither is multiplied
        by the square of the temperature.
    """
    log_p = torch.cat([top["values"].float(), top["rest"].float()[:, None]], -1).log_softmax(-1)
    ids = top["ids"].long()
    log_q = (logits / settings.temperature).log_softmax(-1)
    of_top = log_q.gather(-1, ids)
    q = log_q.exp()
    others = log_q.scatter_(-1, ids, float("-inf"))
    rest = others.logsumexp(-1, keepdim=True)
    values, slopes = _compare(torch.cat([of_top, rest], -1), log_p, settings)
    gradient = q.mul_(-slopes.sum(-1, keepdim=True))
    gradient.add_(others.sub_(rest).exp_().mul_(slopes[:, -1:]))  # 0 for the k tokens
    gradient.scatter_add_(-1, ids, slopes[:, :-1])
    return values, gradient.div_(settings.temperature)


def of_vocabulary(
    logits: Tensor, teacher_logits: Tensor, settings: Settings
) -> tuple[Tensor, Tensor]:
    """Return the divergence of students from a teacher over the vocabulary, and its gradient.

    Rows of the student's head that stand for no token are improbable to the teacher; reverse KL,
    which would be infinite, leaves them out.

    Args:
        logits: float32 [P, V] of the student; not changed.
        teacher_logits: float32 [P, tokens], at most V.
        settings: of the comparison.

    Returns:
        As `of_top`.
    """
    more = logits.shape[-1] - teacher_logits.shape[-1]
    assert more >= 0, f"the teacher has {-more} tokens that the student lacks"
    if more and settings.divergence == "reverse_kl":
        own = logits[:, : teacher_logits.shape[-1]]
        values, gradient = of_vocabulary(own, teacher_logits, settings)
        return values, functional.pad(gradient, (0, more))
    if more:
        teacher_logits = functional.pad(teacher_logits, (0, more), value=float("-inf"))
    log_p = (teacher_logits / settings.temperature).log_softmax(-1)
    log_q = (logits / settings.temperature).log_softmax(-1)
    values, slopes = _compare(log_q, log_p, settings)
    total = slopes.sum(-1, keepdim=True)
    gradient = slopes.addcmul_(log_q.exp_(), total, value=-1)
    return values, gradient.div_(settings.temperature)


def _compare(log_q: Tensor, log_p: Tensor, settings: Settings) -> Divergence:
    return DIVERGENCES[settings.divergence](log_q, log_p, settings.teacher_share)
