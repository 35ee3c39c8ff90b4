"""Muon with products in float32, and Muon combined with AdamW in one optimizer.

`torch.optim.Muon` orthogonalizes in bfloat16, whatever the dtype of the weights. A CPU without
bfloat16 emulates these products, thirty times slower than in float32 (docs/DECISIONS.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import AdamW, Muon, Optimizer


class Float32Muon(Muon):
    """`torch.optim.Muon` with products in float32; settings and state are the same.

    The update of an m x n matrix is the orthogonalized momentum times 0.2 lr sqrt(max(m, n)), which
    matches the RMS of AdamW's updates (arXiv 2502.16982, section 2.2).
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all matrices that have a gradient once."""
        loss: Any = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)
        return loss

    def _update(self, weight: Tensor, group: dict[str, Any]) -> None:
        gradient, state = weight.grad, self.state[weight]
        assert gradient is not None, "only weights with a gradient are updated"
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
        direction = orthogonalized(
            gradient.lerp(momentum, group["momentum"]),  # Nesterov momentum
            coefficients=group["ns_coefficients"],
            num_iterations=group["ns_steps"],
            eps=group["eps"],
        )
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction, alpha=-0.2 * group["lr"] * math.sqrt(max(weight.shape)))


class MuonWithAdamW(Optimizer):
    """Two optimizers with the interface of one, as Lightning needs.

    Parameter groups and state are shared objects, with those of Muon first: a schedule applies to
    both, and one `state_dict` has everything.
    """

    def __init__(self, muon: Muon, adamw: AdamW) -> None:
        """Combine two optimizers over different parameters."""
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


def orthogonalized(
    matrix: Tensor, *, coefficients: tuple[float, float, float], num_iterations: int, eps: float
) -> Tensor:
    """Bring the singular values of a matrix near 1 by Newton-Schulz iterations, in float32.

    An iteration maps X to aX + b(XX')X + c(XX')(XX')X. With the usual coefficients it is tuned to
    lift small singular values fast rather than to converge: they end between about 0.7 and 1.2
    (Jordan 2024, kellerjordan.github.io/posts/muon).

    Args:
        matrix: [m, n].
        coefficients: a, b and c.
        num_iterations: of Newton-Schulz.
        eps: lower limit of the norm that the matrix is divided by.
    """
    a, b, c = coefficients
    is_tall = matrix.shape[0] > matrix.shape[1]
    wide = (matrix.T if is_tall else matrix).float()
    wide = wide / wide.norm().clamp(min=eps)  # no singular value is above 1
    for _ in range(num_iterations):
        gram = wide @ wide.T
        polynomial = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        wide = torch.addmm(wide, polynomial, wide, beta=a)
    return wide.T if is_tall else wide
