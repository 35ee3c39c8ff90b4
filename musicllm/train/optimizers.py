"""Optimizers: AdamW, and Muon for hidden matrices with AdamW for the rest.

Weight decay pulls on matrices only. Norms and biases are few and set scales; embeddings, and a head
tied to them, are not decayed either, since a rare token's row would only shrink. Learning rates
move by `schedule`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from musicllm.train.muon import Float32Muon


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer's settings.

    Attributes:
        name: adamw or muon.
        lr: peak learning rate of AdamW.
        betas: of AdamW.
        eps: of AdamW.
        weight_decay: decoupled, on matrices.
        fused: one kernel for all tensors of AdamW.
        muon_lr: peak learning rate of Muon; None unless `name` is muon, as the next.
        muon_momentum: Nesterov momentum of Muon.
        muon_dtype: type of Muon's products, which a device should have: bfloat16 or float32.
    """

    name: str
    lr: float
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    fused: bool
    muon_lr: float | None
    muon_momentum: float | None
    muon_dtype: str


@dataclass(frozen=True)
class ParameterGroups:
    """The trained parameters of a model, each in one group.

    Attributes:
        hidden: matrices that are neither embeddings nor the output head.
        head: the output head, when it is not tied to the embeddings.
        plain: embeddings, norms, biases: not decayed.
    """

    hidden: list[nn.Parameter]
    head: list[nn.Parameter]
    plain: list[nn.Parameter]


def parameter_groups(model: nn.Module) -> ParameterGroups:
    """Sort the trained parameters of a transformers or PEFT model."""
    embeddings = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
    output: nn.Module = model.get_output_embeddings()  # type: ignore[operator]
    head = {id(parameter) for parameter in output.parameters()} - embeddings
    groups = ParameterGroups([], [], [])
    for parameter in model.parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or id(parameter) in embeddings:
            groups.plain.append(parameter)
        elif id(parameter) in head:
            groups.head.append(parameter)
        else:
            groups.hidden.append(parameter)
    return groups


def build(model: nn.Module, spec: OptimizerSpec) -> Optimizer:
    """Make the optimizer over what the model trains."""
    groups = parameter_groups(model)
    if spec.name == "adamw":
        return _adamw(groups.hidden + groups.head, groups.plain, spec)
    assert spec.name == "muon", f"optimizer {spec.name!r} passed the checks"
    assert spec.muon_lr is not None, "muon without its learning rate passed the checks"
    assert spec.muon_momentum is not None, "muon without its momentum passed the checks"
    kind = Muon if spec.muon_dtype == "bfloat16" else Float32Muon
    muon = kind(
        groups.hidden,
        lr=spec.muon_lr,
        momentum=spec.muon_momentum,
        weight_decay=spec.weight_decay,
        adjust_lr_fn="match_rms_adamw",  # updates as large as AdamW's (arXiv 2502.16982)
    )
    if not groups.head + groups.plain:  # LoRA trains hidden matrices only
        return muon
    return MuonWithAdamW(muon, _adamw(groups.head, groups.plain, spec))


def _adamw(decayed: list[nn.Parameter], plain: list[nn.Parameter], spec: OptimizerSpec) -> AdamW:
    groups = [
        {"params": decayed, "weight_decay": spec.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return AdamW(filled, lr=spec.lr, betas=spec.betas, eps=spec.eps, fused=spec.fused)


class MuonWithAdamW(Optimizer):
    """Two optimizers that look like one, as Lightning and its checkpoints need.

    Parameter groups and state are shared objects: those of Muon come first, a schedule set on
    them reaches both, and one `state_dict` holds everything. Muon (Keller Jordan, 2024) replaces
    the momentum of a matrix by the nearest orthogonal one; it costs 15 more products of the
    matrix's smaller side per step.
    """

    def __init__(self, muon: Muon, adamw: AdamW) -> None:
        """Join two optimizers over different parameters."""
        self._parts: tuple[Muon, AdamW] = (muon, adamw)
        super().__init__([*muon.param_groups, *adamw.param_groups], {})
        self._share()

    def _share(self) -> None:
        muon, adamw = self._parts
        count = len(muon.param_groups)
        muon.param_groups, adamw.param_groups = self.param_groups[:count], self.param_groups[count:]
        muon.state = adamw.state = self.state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Load what `state_dict` returned."""
        super().load_state_dict(dict(state_dict))
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters once."""
        loss: Tensor | None = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self._parts:
            part.step()  # type: ignore[no-untyped-call]
        return loss
