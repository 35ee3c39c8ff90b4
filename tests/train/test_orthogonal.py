from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Muon

from musicllm.train.orthogonal import Float32Muon, orthogonalized

SETTINGS = {
    "lr": 0.02,
    "momentum": 0.9,
    "weight_decay": 0.1,
    "adjust_lr_fn": "match_rms_adamw",
}
SHAPES = [(8, 8), (24, 8), (8, 24)]


def matrices() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def descend(optimizer: Muon, num_steps: int) -> list[Tensor]:
    weights = optimizer.param_groups[0]["params"]
    for step in range(num_steps):
        torch.manual_seed(step)
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        optimizer.step()  # type: ignore[no-untyped-call]
    return [weight.detach() for weight in weights]


def test_it_is_torchs_muon_if_that_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = descend(Float32Muon(matrices(), **SETTINGS), 3)
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.float)
    theirs = descend(Muon(matrices(), **SETTINGS), 3)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_it_differs_from_torchs_muon_by_the_rounding_of_bfloat16() -> None:
    before = matrices()
    ours = descend(Float32Muon(matrices(), **SETTINGS), 1)
    theirs = descend(Muon(matrices(), **SETTINGS), 1)
    for start, a, b in zip(before, ours, theirs, strict=True):
        difference = (a - b).norm() / (a - start).norm()
        assert 0 < difference < 0.03


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    spread = torch.linspace(1.0, 30.0, 8)
    result = orthogonalized(
        u @ spread.diag() @ v,
        coefficients=(3.4445, -4.7750, 2.0315),
        num_iterations=5,
        eps=1e-7,
    )
    inside = u.T @ result @ v.T
    values = inside.diagonal()
    assert ((values > 0.6) & (values < 1.3)).all()
    assert (inside - values.diag()).abs().max() < 1e-3


def test_a_run_continues_on_a_machine_with_the_other_type() -> None:
    source = Muon(matrices(), **SETTINGS)
    descend(source, 1)
    target = Float32Muon(matrices(), **SETTINGS)
    target.load_state_dict(source.state_dict())
    for weight, other in zip(target.state, source.state, strict=True):
        assert target.state[weight].keys() == source.state[other].keys() == {"momentum_buffer"}
        momentum = target.state[weight]["momentum_buffer"]
        assert torch.equal(momentum, source.state[other]["momentum_buffer"])


def test_a_matrix_without_a_gradient_stays() -> None:
    weights = matrices()
    before = weights[0].clone()
    Float32Muon(weights, **SETTINGS).step()
    assert torch.equal(weights[0], before)
