"""What a training minimises."""

from __future__ import annotations

from typing import Any, Literal

from musicllm.schema.keys import group, key
from musicllm.schema.training import Dtype


@group
class ObjectiveConfig:
    """What a training minimises, over the supervised tokens."""

    name: str = key("kind of objective", kinds="musicllm.train.objectives:OBJECTIVES")
    divergence: Literal["forward_kl", "reverse_kl", "jensen_shannon"] | None = key(
        "of teacher and student: forward_kl, reverse_kl or jensen_shannon", null="no teacher"
    )
    teacher_share: float | None = key(
        "share of the teacher in the mixture of jensen_shannon", 0.001, 0.999, null="no mixture"
    )
    temperature: float | None = key(
        "divides the logits of both models in the divergence, which is multiplied by its square",
        0.05,
        100,
        null="no teacher",
    )
    plain_weight: float | None = key(
        "weight of the negative log-likelihood; the divergence has the rest", 0, 1, null="all"
    )
    top_k: int | None = key(
        "most probable tokens of the teacher used; the others count as one",
        1,
        1 << 20,
        null="the whole vocabulary",
    )
    teacher_dtype: Dtype | None = key(
        "dtype of the teacher's weights in memory", null="that of the matrix products"
    )
    teacher_quantization: Literal["nf4"] | None = key(
        "quantization of the teacher: nf4", null="none"
    )
    teacher_model: str | None = key(
        "option of the group model that a plan takes for the teacher while inputs.teacher is "
        "not there",
        null="the plan leaves the teacher out",
    )
    options: dict[str, Any] = key("settings of a kind of your own (extensions)")
