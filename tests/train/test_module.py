from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from musicllm.data.batches import StepBatches
from musicllm.data.rows import RowStore
from musicllm.model import adapters, attention, base, router
from musicllm.train.fit import TrainingRun
from musicllm.train.module import CausalLMModule, check_head
from musicllm.train.plan import Plan
from musicllm.train.schedule import Schedule
from tests.model import families
from tests.models import LORA, TINY

SCHEDULE = Schedule("constant", 10, 0, 0.0)


class Ranks:
    """Stands in for Lightning's trainer where only ranks matter."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.global_rank = rank
        self.world_size = world_size
        self.strategy = None


def gradient(
    model: nn.Module, store: RowStore, rows_per_device: int, world_size: int
) -> tuple[float, list[torch.Tensor]]:
    """Return loss and gradient of step 0 as Lightning and DDP make them of several ranks."""
    model.zero_grad()
    loss = 0.0
    for rank in range(world_size):
        batches = StepBatches(
            store, rows_per_step=8, rows_per_device=rows_per_device, seed=0, num_steps=1,
            rank=rank, world_size=world_size,
        )  # fmt: skip
        module = CausalLMModule(model, None, SCHEDULE, accumulation=batches.accumulation)  # type: ignore[arg-type]
        module._trainer = Ranks(rank, world_size)  # type: ignore[assignment]
        for index in range(len(batches)):
            share = module.training_step(batches[index], index) / batches.accumulation / world_size
            share.backward()
            loss += share.item()
    return loss, [parameter.grad.clone() for parameter in model.parameters()]  # type: ignore[union-attr]


@pytest.mark.parametrize(("rows_per_device", "world_size"), [(4, 1), (1, 4)])
def test_a_step_with_a_router_loss_is_split_like_any_other(
    store: RowStore, rows_per_device: int, world_size: int
) -> None:
    attention.register()
    model = families.build("qwen3_moe", attention=attention.implementation(attention.NAME))
    without, plain = gradient(model, store, 8, 1)
    on = {"output_router_logits": True, "router_aux_loss_coef": 0.5}
    router.follow(model, families.config_of("qwen3_moe", **on))
    whole, expected = gradient(model, store, 8, 1)
    assert 1 <= whole - without < 1.5  # 0.5 times at least 2, the experts of a token
    names = [name for name, _ in model.named_parameters()]
    gates = [number for number, name in enumerate(names) if name.endswith("mlp.gate.weight")]
    assert all(not torch.allclose(plain[gate], expected[gate], rtol=0.01) for gate in gates)
    split, gradients = gradient(model, store, rows_per_device, world_size)
    assert split == pytest.approx(whole, rel=1e-6)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("rows_per_device", "world_size"), [(4, 1), (1, 1), (2, 2), (1, 4)])
def test_how_a_step_is_split_changes_it_only_by_rounding(
    plain_model: nn.Module, store: RowStore, rows_per_device: int, world_size: int
) -> None:
    whole, expected = gradient(plain_model, store, 8, 1)
    split, gradients = gradient(plain_model, store, rows_per_device, world_size)
    assert split == pytest.approx(whole, rel=1e-6)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_dropout_is_a_function_of_the_position(
    make_model: Callable[..., nn.Module], store: RowStore
) -> None:
    batches = StepBatches(store, rows_per_step=2, rows_per_device=1, seed=0, num_steps=2)

    def loss(batch_idx: int, start_step: int = 0, rank: int = 0, seed: int = 1) -> float:
        module = CausalLMModule(
            make_model(attention_dropout=0.5).train(),
            None,  # type: ignore[arg-type]
            SCHEDULE,
            accumulation=2,
            start_step=start_step,
            seed=seed,
        )
        module._trainer = Ranks(rank, 1)  # type: ignore[assignment]
        return module.training_step(batches[0], batch_idx).item()

    assert loss(2) == loss(2) == loss(0, start_step=1)
    others = [loss(0), loss(1), loss(3), loss(2, rank=1), loss(2, seed=2)]
    assert len({loss(2), *others}) == 6


def test_validation_weighs_tokens_and_not_batches(make_run: Callable[..., TrainingRun]) -> None:
    losses = []
    for rows_per_device in (1, 2, 4):
        run = make_run(folder=f"run{rows_per_device}", max_steps=1)
        plan: Plan = dataclasses.replace(
            run.plan, rows_per_device=rows_per_device, accumulation=4 // rows_per_device
        )
        model: Any = run.model
        model.config.attention_dropout = 0.0
        for layer in model.model.layers:
            layer.self_attn.attention_dropout = 0.0
        losses.append(dataclasses.replace(run, plan=plan).fit().validation_loss)
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert losses[2] == pytest.approx(losses[0], rel=1e-6)


def test_the_norm_is_that_of_the_whole_gradient_before_clipping() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    module = CausalLMModule(layer, None, SCHEDULE, accumulation=1)  # type: ignore[arg-type]
    module._trainer = Ranks(0, 1)  # type: ignore[assignment]
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    module.configure_gradient_clipping(optimizer, 1.0)
    assert float(module.grad_norm) == pytest.approx(5.0)
    assert layer.weight.grad.norm().item() == pytest.approx(1.0)
    layer.weight.grad = torch.tensor([[3.0, 4.0]])
    module.configure_gradient_clipping(optimizer, None)
    assert float(module.grad_norm) == pytest.approx(5.0)
    assert layer.weight.grad.tolist() == [[3.0, 4.0]]


def test_the_head_of_a_half_precision_base_with_trained_embeddings_is_checked() -> None:
    model = base.build(TINY, seed=1).to(torch.bfloat16)
    spec = dataclasses.replace(LORA, train_embeddings=True)
    adapted = adapters.attach(model, spec, seed=1)
    assert {weight.dtype for weight in adapted.parameters()} == {torch.bfloat16, torch.float32}
    check_head(adapted)
