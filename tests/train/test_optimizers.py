from __future__ import annotations

import dataclasses
from collections.abc import Callable
from io import BytesIO

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from musicllm.schema import OptimizerConfig
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.orthogonal import Float32Muon, MuonWithAdamW
from musicllm.train.parameter_groups import parameter_groups
from tests.train.conftest import ADAMW, MUON

KINDS = {"float32": Float32Muon, "bfloat16": Muon}


def build(model: nn.Module, settings: OptimizerConfig, *, has_bf16: bool = False) -> Optimizer:
    return OPTIMIZERS[settings.name].build(model, settings, has_bf16=has_bf16)


def names(model: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    return {name for name, value in model.named_parameters() if any(value is p for p in parameters)}


def test_norms_and_embeddings_are_not_decayed_and_a_free_head_is(
    make_model: Callable[..., nn.Module],
) -> None:
    model = make_model(tie_word_embeddings=False, num_hidden_layers=1)
    groups = parameter_groups(model)
    layer = "model.layers.0."
    assert names(model, groups.plain) == {
        "model.embed_tokens.weight",
        "model.norm.weight",
        layer + "input_layernorm.weight",
        layer + "post_attention_layernorm.weight",
    }
    assert names(model, groups.head) == {"lm_head.weight"}
    assert len(groups.hidden) == 7
    optimizer = build(model, ADAMW)
    assert isinstance(optimizer, AdamW)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    assert optimizer.param_groups[0]["fused"] is True


def test_a_tied_head_is_an_embedding(make_model: Callable[..., nn.Module]) -> None:
    groups = parameter_groups(make_model(tie_word_embeddings=True))
    assert groups.head == []
    assert len(groups.plain) == 6


def test_frozen_weights_are_left_out(make_model: Callable[..., nn.Module], lora: object) -> None:
    model = make_model(lora)
    optimizer = build(model, ADAMW)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    assert trained
    assert all("lora_" in name for name in names(model, trained))


def descend(model: nn.Module, optimizer: Optimizer, steps: int) -> None:
    for _ in range(steps):
        model(torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("dtype", list(KINDS))
def test_muon_takes_hidden_matrices_and_does_what_both_parts_do(
    make_model: Callable[..., nn.Module], dtype: str
) -> None:
    joined_model, apart_model = make_model().eval(), make_model().eval()
    joined = build(joined_model, MUON, has_bf16=dtype == "bfloat16")
    assert isinstance(joined, MuonWithAdamW)
    groups = parameter_groups(apart_model)
    options = {"weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}
    muon = KINDS[dtype](groups.hidden, lr=0.02, momentum=0.95, **options)  # type: ignore[arg-type]
    adamw = AdamW(groups.plain, lr=1e-2, betas=(0.9, 0.95), weight_decay=0.0, fused=True)
    for _ in range(3):
        descend(joined_model, joined, 1)
        apart_model(torch.arange(8)[None], labels=torch.arange(8)[None]).loss.backward()
        for part in (muon, adamw):
            part.step()
            part.zero_grad()
    for ours, theirs in zip(joined_model.parameters(), apart_model.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_one_schedule_moves_both_parts_of_muon(make_model: Callable[..., nn.Module]) -> None:
    model = make_model()
    optimizer = build(model, MUON)
    LambdaLR(optimizer, lambda _: 0.0)
    before = [parameter.clone() for parameter in model.parameters()]
    descend(model, optimizer, 1)
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("spec", [ADAMW, MUON], ids=["adamw", "muon"])
def test_state_survives_saving(make_model: Callable[..., nn.Module], spec: OptimizerConfig) -> None:
    straight, resumed = make_model().eval(), make_model().eval()
    first = build(straight, spec)
    descend(straight, first, 2)
    resumed.load_state_dict(straight.state_dict())
    second = build(resumed, spec)
    file = BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    descend(straight, first, 2)
    descend(resumed, second, 2)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_alone_when_only_hidden_matrices_are_trained(
    make_model: Callable[..., nn.Module], lora: object
) -> None:
    assert type(build(make_model(lora), MUON)) is Float32Muon
    assert type(build(make_model(lora), MUON, has_bf16=True)) is Muon


def test_lora_plus_moves_the_second_factor_faster(
    make_model: Callable[..., nn.Module], lora: object
) -> None:
    model = make_model(lora).eval()
    faster = dataclasses.replace(ADAMW, lora_plus_ratio=16.0)
    optimizer = build(model, faster)
    rates = {group["lr"]: names(model, group["params"]) for group in optimizer.param_groups}
    first, second = rates[1e-2], rates[1e-2 * 16]
    assert all(".lora_A." in name for name in first)
    assert all(".lora_B." in name for name in second)
    assert len(first) == len(second) == 4
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    LambdaLR(optimizer, lambda _: 0.5)
    descend(model, optimizer, 2)  # A gets a gradient once B is not zero
    moved = {
        name: float((weight.detach() - before[name]).abs().max())
        for name, weight in model.named_parameters()
        if "lora" in name
    }
    assert all(0 < move < 0.02 for name, move in moved.items() if "lora_A" in name)
    assert all(move > 0.1 for name, move in moved.items() if "lora_B" in name)


def test_lora_plus_leaves_matrices_beside_lora_at_the_common_rate(
    make_model: Callable[..., nn.Module], lora: object
) -> None:
    both = dataclasses.replace(lora, train_embeddings=True)  # type: ignore[type-var]
    model = make_model(both)
    optimizer = build(model, dataclasses.replace(ADAMW, lora_plus_ratio=4.0))
    rates = {group["lr"]: names(model, group["params"]) for group in optimizer.param_groups}
    assert {0.01, 0.04} == set(rates)
    assert any("embed_tokens" in name for name in rates[0.01])
    trained = sum(weight.requires_grad for weight in model.parameters())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == trained
