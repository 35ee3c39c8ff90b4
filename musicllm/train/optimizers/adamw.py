"""AdamW: weight decay on matrices only.

Norms and biases are few and set scales; embeddings, and a head tied to them, are not decayed
either, since the row of a rare token would only shrink. With `optimizer.lora_plus_ratio` the second
factor of LoRA, B in the update BA, learns faster than the first (LoRA+, arXiv 2402.12354).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from musicllm.errors import Problem
from musicllm.schema import OptimizerConfig
from musicllm.train.optimizers import FLOAT32, OPTIMIZERS, OptimizerKind

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import AdamW


class AdamWKind(OptimizerKind):
    """AdamW (arXiv 1711.05101)."""

    name = "adamw"
    has_lora_plus = True

    def build(self, model: nn.Module, settings: OptimizerConfig, *, has_bf16: bool) -> AdamW:
        """See `OptimizerKind`."""
        from musicllm.train.parameter_groups import parameter_groups

        del has_bf16
        groups = parameter_groups(model)
        decayed = groups.hidden + groups.head
        if settings.lora_plus_ratio is None:
            return build_adamw(decayed, groups.plain, settings)
        fast = {id(weight) for name, weight in model.named_parameters() if ".lora_B." in name}
        optimizer = build_adamw(
            [weight for weight in decayed if id(weight) not in fast], groups.plain, settings
        )
        second = [weight for weight in decayed if id(weight) in fast]
        optimizer.add_param_group(
            {
                "params": second,
                "lr": settings.lr * settings.lora_plus_ratio,
                "weight_decay": settings.weight_decay,
            }
        )
        return optimizer

    def state_bytes(self, num_trainable: int, _num_hidden: int) -> int:
        """Two moments in float32."""
        return 2 * FLOAT32 * num_trainable

    def problems(self, settings: OptimizerConfig) -> Iterator[Problem]:
        """Yield betas that are no decay."""
        yield from super().problems(settings)
        yield from problems_of_betas(settings)

    def plan_rows(
        self, settings: OptimizerConfig, *, device: str, has_bf16: bool
    ) -> list[tuple[str, str]]:
        """Return the learning rate of LoRA's second factor, if it has its own."""
        del device, has_bf16
        if settings.lora_plus_ratio is None:
            return []
        return [("learning rate of LoRA's B", f"{settings.lr * settings.lora_plus_ratio:g}")]


def problems_of_betas(settings: OptimizerConfig) -> Iterator[Problem]:
    """Yield betas that are no decay of two moments."""
    if len(settings.betas) != 2 or not all(0 <= beta < 1 for beta in settings.betas):
        yield Problem("optimizer.betas", settings.betas, "must be two numbers from 0 to below 1")


def build_adamw(
    decayed: list[nn.Parameter], plain: list[nn.Parameter], settings: OptimizerConfig
) -> AdamW:
    """Return AdamW over parameters with weight decay and others without."""
    from torch.optim import AdamW

    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return AdamW(
        [group for group in groups if group["params"]],
        lr=settings.lr,
        betas=(settings.betas[0], settings.betas[1]),
        eps=settings.eps,
        fused=settings.fused,
    )


ADAMW = OPTIMIZERS.register(AdamWKind())
