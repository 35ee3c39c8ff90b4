"""Muon for hidden matrices, AdamW for embeddings, head, norms and biases.

Muon (Keller Jordan, 2024, kellerjordan.github.io/posts/muon) replaces the momentum of a matrix by
the nearest orthogonal one. The optimizers are `train.orthogonal`; this module imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from musicllm.errors import Problem
from musicllm.schema import OptimizerConfig
from musicllm.train.optimizers import FLOAT32, OPTIMIZERS, OptimizerKind
from musicllm.train.optimizers.adamw import build_adamw, problems_of_betas

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer


class MuonKind(OptimizerKind):
    """Muon, with products in float32 where bfloat16 would be emulated."""

    name = "muon"
    needs_whole_matrices = True

    def build(self, model: nn.Module, settings: OptimizerConfig, *, has_bf16: bool) -> Optimizer:
        """See `OptimizerKind`."""
        from torch.optim import Muon

        from musicllm.train.orthogonal import Float32Muon, MuonWithAdamW
        from musicllm.train.parameter_groups import parameter_groups

        assert settings.muon_lr is not None, "muon without its learning rate passed the checks"
        assert settings.muon_momentum is not None, "muon without its momentum passed the checks"
        groups = parameter_groups(model)
        muon = (Muon if has_bf16 else Float32Muon)(
            groups.hidden,
            lr=settings.muon_lr,
            momentum=settings.muon_momentum,
            weight_decay=settings.weight_decay,
            adjust_lr_fn="match_rms_adamw",  # updates as large as AdamW's (arXiv 2502.16982)
        )
        if not groups.head + groups.plain:  # LoRA trains hidden matrices only
            return muon
        return MuonWithAdamW(muon, build_adamw(groups.head, groups.plain, settings))

    def state_bytes(self, num_trainable: int, num_hidden: int) -> int:
        """One momentum where Muon works, two moments of AdamW elsewhere."""
        return FLOAT32 * (2 * num_trainable - num_hidden)

    def problems(self, settings: OptimizerConfig) -> Iterator[Problem]:
        """Yield settings of Muon that are missing."""
        yield from super().problems(settings)
        yield from problems_of_betas(settings)
        for key in ("muon_lr", "muon_momentum"):
            if getattr(settings, key) is None:
                yield Problem(f"optimizer.{key}", "null", "must be set when optimizer.name=muon")

    def update_flops(self, shapes: Mapping[tuple[int, ...], int]) -> float:
        """Return the FLOPs of the Newton-Schulz iterations of all hidden matrices.

        An iteration on a matrix of m x n, m <= n, has two products with it, 2 m^2 n each, and a
        square, 2 m^3 (Jordan 2024); an update makes five.
        """
        sides = ((*sorted(shape), number) for shape, number in shapes.items())
        return float(
            sum(n * 5 * (4 * small**2 * large + 2 * small**3) for small, large, n in sides)
        )

    def plan_rows(
        self, settings: OptimizerConfig, *, device: str, has_bf16: bool
    ) -> list[tuple[str, str]]:
        """Return the learning rate and the dtype of the products."""
        products = "bfloat16" if has_bf16 else f"float32: {device} has no native bfloat16"
        return [("learning rate of Muon", f"{settings.muon_lr:g}, products in {products}")]


MUON = OPTIMIZERS.register(MuonKind())
