from __future__ import annotations

import dataclasses

import pytest

from musicllm.model.size import Size
from musicllm.model.spec import AdapterSpec
from musicllm.train.memory.states import NF4, Spread, frozen_bytes, frozen_width, states
from musicllm.train.optimizers import OPTIMIZERS
from tests.models import TINY
from tests.train.memory.batch import FULL, LORA

SIZE = Size(1000, 80, 1000, 60, 1000, 900, 100, {}, {})
BUCKETS = 2 * 4 * 50_000_000
FROZEN, TRAINED, STATE = 2 * 1000, 4 * 80, 8 * 80


def held(kind: str, stage: int = 0, *, optimizer: bool = False, parameters: bool = False):  # type: ignore[no-untyped-def]
    spread = Spread(kind, stage, optimizer, parameters, 4)
    return dataclasses.astuple(states(LORA, SIZE, spread, frozen=2, optimizer="adamw"))


@pytest.mark.parametrize("kind", ["single", "ddp"])
def test_without_zero_every_device_holds_everything(kind: str) -> None:
    assert held(kind) == (FROZEN, TRAINED, TRAINED, STATE, 0, 0)


def test_zero_spreads_state_then_gradients_then_weights() -> None:
    own_copy = TRAINED // 4
    shared = STATE // 4 + own_copy
    assert held("deepspeed", 1) == (FROZEN, TRAINED, TRAINED, shared, BUCKETS, 0)
    assert held("deepspeed", 2) == (FROZEN, TRAINED, TRAINED // 4, shared, BUCKETS, 0)
    gathered = FROZEN + TRAINED  # of so small a model, all
    assert held("deepspeed", 3) == (
        FROZEN // 4, TRAINED // 4, TRAINED // 4, shared, BUCKETS + gathered, 0,
    )  # fmt: skip


def test_offload_moves_bytes_to_cpu_memory() -> None:
    state = (STATE + TRAINED) // 4
    frozen, weights, gradients, optimizer, _, on_host = held("deepspeed", 2, optimizer=True)
    assert (frozen, weights, gradients, optimizer) == (FROZEN, TRAINED, 0, 0)
    assert on_host == state + TRAINED // 4
    everything = held("deepspeed", 3, optimizer=True, parameters=True)
    assert everything[:4] == (0, 0, 0, 0)
    assert everything[5] == state + TRAINED // 4 + TRAINED // 4 + FROZEN // 4


def test_zero_3_gathers_no_more_than_it_may() -> None:
    large = Size(10**10, 0, 10**10, 0, 10**10, 0, 0, {}, {})
    spread = Spread("deepspeed", 3, False, False, 4)
    found = states(LORA, large, spread, frozen=2, optimizer="adamw")
    assert found.communication == BUCKETS + 2 * 1_050_000_000


def test_muon_holds_one_number_for_a_matrix() -> None:
    assert OPTIMIZERS["adamw"].state_bytes(80, 60) == 8 * 80
    assert OPTIMIZERS["muon"].state_bytes(80, 60) == 4 * 60 + 8 * 20


def test_only_the_matrices_of_the_layers_are_in_4_bits() -> None:
    quantized = dataclasses.replace(LORA, quantization="nf4")
    assert pytest.approx(0.51587, abs=1e-5) == NF4
    assert frozen_bytes(SIZE, quantized, 4) == round(NF4 * 900) + 4 * 100


@pytest.mark.parametrize(
    ("stored", "compute", "adapter", "width"),
    [
        ("bfloat16", "bfloat16", LORA, 2),
        ("float16", "bfloat16", LORA, 2),
        ("float16", "float32", LORA, 4),  # loaded in float32
        ("bfloat16", "bfloat16", FULL, 4),
        ("bfloat16", "bfloat16", dataclasses.replace(LORA, quantization="nf4"), 4),  # by PEFT
    ],
)
def test_the_width_of_frozen_weights(
    stored: str, compute: str, adapter: AdapterSpec, width: int
) -> None:
    assert frozen_width(dataclasses.replace(TINY, dtype=stored), adapter, compute) == width
