from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from musicllm.data.batches import StepBatches
from musicllm.data.rows import RowStore
from musicllm.model.spec import AdapterSpec
from musicllm.train import rehearsal
from musicllm.train.objectives.sft import SFT
from musicllm.train.optimizers import OPTIMIZERS
from musicllm.train.rehearsal import Rehearsal, Steps, rehearse
from tests.train.conftest import MUON


@pytest.fixture
def steps(make_model: Callable[..., nn.Module], store: RowStore) -> Steps:
    batches = StepBatches(store, rows_per_step=4, rows_per_device=2, seed=0, num_steps=2)
    return Steps(
        model=make_model(),
        make_optimizer=partial(OPTIMIZERS["muon"].build, settings=MUON, has_bf16=False),
        objective=SFT,
        micro_batches=[batches[n] for n in range(4)],
        accumulation=2,
        gradient_clip=1.0,
        autocast=None,
    )


@pytest.mark.parametrize("kind", ["full", "lora"])
def test_it_leaves_no_trace(
    steps: Steps, kind: str, make_model: Callable[..., nn.Module], lora: AdapterSpec
) -> None:
    model = make_model(lora) if kind == "lora" else steps.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    measured = rehearse(dataclasses.replace(steps, model=model), (1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 1
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert set(measured.step_s) | set(measured.other_bits) == {1, 2}


def test_a_step_counts_all_of_its_micro_batches(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    # two threads need 3 s for a micro-batch and 1 s for the update, one thread 2 s and 1 s
    clock = 0.0
    seconds = {1: 2.0, 2: 3.0}
    compute = SFT.loss

    def slow_nll(*arguments: object) -> torch.Tensor:
        nonlocal clock
        clock += seconds[torch.get_num_threads()]
        return compute(*arguments)  # type: ignore[arg-type]

    def slow_clip(*arguments: object) -> torch.Tensor:
        nonlocal clock
        clock += 1.0
        return torch.zeros(())

    monkeypatch.setattr(SFT, "loss", slow_nll)
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", slow_clip)
    monkeypatch.setattr(rehearsal.time, "perf_counter", lambda: clock)
    measured = rehearse(steps, (1, 2))
    assert measured.step_s == {1: 5.0, 2: 7.0}
    assert (measured.num_threads, measured.fastest_step_s) == (1, 5.0)
    assert measured.as_text() == "1: 5.00 s a step with 1, 7.00 s a step with 2"


def test_threads_that_round_differently_are_left_out(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = SFT.loss

    def rounding(*arguments: object) -> torch.Tensor:
        loss = compute(*arguments)  # type: ignore[arg-type]
        return loss * 1.001 if torch.get_num_threads() == 1 else loss

    monkeypatch.setattr(SFT, "loss", rounding)
    measured = rehearse(steps, (1, 2))
    assert measured.other_bits == (1,)
    assert measured.num_threads == 2
    assert measured.as_text().endswith(", 1 not tried, since it rounds differently")


def test_very_slow_steps_are_measured_with_all_threads_only(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rehearsal, "PATIENCE_S", 0.0)
    assert set(rehearse(steps, (1, 2)).step_s) == {2}


def test_the_fastest_number_of_threads_is_taken() -> None:
    assert Rehearsal({1: 0.5, 2: 0.4, 4: 0.6}).num_threads == 2
