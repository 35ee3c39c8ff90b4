from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.trace import Bytes, LayerTrace, Run, Trace, trace
from musicllm.train.memory.activations import Activations, of_decoder
from tests.model.llama_layers import layers
from tests.models import TINY
from tests.train.memory import llama_activations as llama
from tests.train.memory.batch import ADAPTERS, FULL, LLAMA_30M, LORA, SMALL, MicroBatch
from tests.train.memory.llama_activations import Numerics, numerics, of_layer

FLOAT32 = Numerics(4, 4, 4, recast=False, dropout_mask=1, copies_attention=False)
BFLOAT16 = Numerics(2, 2, 2, recast=False, dropout_mask=1, copies_attention=False)
ZERO = Bytes()
LENGTH = 61
NUM_TOKENS = 4 * LENGTH
"""Of a micro-batch of four documents."""


def traced(spec: ModelSpec, adapter: AdapterSpec, compute: str, *, on_gpu: bool = False) -> Trace:
    attention = "varlen" if on_gpu else "varlen_sdpa"
    return trace(spec, adapter, Run(LENGTH, compute, on_gpu, attention))


def kept(
    spec: ModelSpec, adapter: AdapterSpec, compute: str, *, checkpointing: bool = False
) -> int:
    found = traced(spec, adapter, compute)
    return of_decoder(found, num_tokens=NUM_TOKENS, checkpointing=checkpointing).kept


def test_a_layer_of_a_fully_trained_model_by_hand() -> None:
    # TINY: width 32, keys 16, feed-forward 48, 4 heads; bytes of a token in float32
    norms = 2 * (4 * (32 + 1) + 4 * 32)  # input, its scale; and what the weight multiplies
    attention = 4 * (32 + 16 + 16 + 32) + 4 * 4
    feed_forward = 3 * 4 * 48
    inputs = 4 * (32 + 32 + 48)  # of q, k, v together, of gate and up, of down; o's is attention's
    lowest = layers(TINY, FULL)[0]
    assert of_layer(TINY, FULL, FLOAT32, lowest) == norms + attention + feed_forward + inputs


def test_a_layer_with_lora_by_hand() -> None:
    lora = dataclasses.replace(LORA, targets=("v_proj", "down_proj"))
    second = layers(TINY, lora)[1]
    norms = 2 * 4 * (32 + 1)
    attention = 2 * (32 + 16 + 16 + 32) + 4 * 4
    feed_forward = 3 * 2 * 48
    adapted = (2 + 1) * (32 + 48) + 2 * 2 * 8  # inputs in 16 bits, masks, and r numbers each
    expected = norms + attention + feed_forward + adapted
    assert of_layer(TINY, lora, BFLOAT16, second) == expected


@pytest.mark.parametrize("on_gpu", [False, True])
@pytest.mark.parametrize(
    ("adapter", "stored", "compute"),
    [("full", "float32", "float32"), ("lora", "bfloat16", "bfloat16"),
     ("lora_and_ends", "float16", "bfloat16")],
)  # fmt: skip
def test_a_trace_keeps_what_the_formulas_of_llama_say(
    adapter: str, stored: str, compute: str, on_gpu: bool
) -> None:
    spec, chosen = dataclasses.replace(SMALL, dtype=stored), ADAPTERS[adapter]
    types = numerics(
        spec, chosen, compute_dtype=compute, on_gpu=on_gpu,
        attention="varlen" if on_gpu else "varlen_sdpa",
    )  # fmt: skip
    found = traced(spec, chosen, compute, on_gpu=on_gpu)
    for layer, by_hand in zip(found.layers, layers(spec, chosen), strict=True):
        assert layer.kept.of_tokens == LENGTH * of_layer(spec, chosen, types, by_hand)
        assert layer.kept.of_weights == llama.autocast_copies(chosen, types, [by_hand])


CASES = [
    ("full", "float32", "float32"), ("full", "float32", "bfloat16"),
    ("lora", "bfloat16", "bfloat16"), ("lora_and_ends", "float16", "bfloat16"),
    ("lora_on_some", "bfloat16", "bfloat16"),
]  # fmt: skip
MORE = [
    pytest.param(name, stored, compute, marks=pytest.mark.slow)
    for name in ADAPTERS
    for stored, compute in (
        ("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "bfloat16"),
    )
    if (name, stored, compute) not in CASES and name != "full"
]  # fmt: skip


@pytest.mark.parametrize(("adapter", "stored", "compute"), [*CASES, *MORE])
def test_as_much_as_autograd_keeps(
    adapter: str, stored: str, compute: str, saved_bytes: Callable[[MicroBatch], int]
) -> None:
    chosen, spec = ADAPTERS[adapter], dataclasses.replace(SMALL, dtype=stored)
    batch = MicroBatch(
        spec, chosen, compute_dtype=compute, num_tokens=NUM_TOKENS, checkpointing=False
    )
    # autocast caches copies of weights that autograd does not need, a thousandth
    assert saved_bytes(batch) == pytest.approx(kept(spec, chosen, compute), rel=0.002)


@pytest.mark.parametrize("adapter", ["full", "lora", "lora_and_ends"])
def test_checkpointing_keeps_the_inputs_of_layers(
    adapter: str, saved_bytes: Callable[[MicroBatch], int]
) -> None:
    chosen = ADAPTERS[adapter]
    spec = dataclasses.replace(SMALL, dtype="float32")
    batch = MicroBatch(
        spec, chosen, compute_dtype="bfloat16", num_tokens=NUM_TOKENS, checkpointing=True
    )
    angles = NUM_TOKENS * 2 * 4 * 32  # checkpoints hold them in another way than autograd's
    expected = kept(spec, chosen, "bfloat16", checkpointing=True) - angles
    assert saved_bytes(batch) == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_model_of_30_million_parameters(
    adapter: str, saved_bytes: Callable[[MicroBatch], int]
) -> None:
    chosen = ADAPTERS[adapter]
    batch = MicroBatch(
        LLAMA_30M, chosen, compute_dtype="bfloat16", num_tokens=NUM_TOKENS, checkpointing=False
    )
    assert saved_bytes(batch) == pytest.approx(kept(LLAMA_30M, chosen, "bfloat16"), rel=0.002)


def layer(kept: Bytes, backward: Bytes, *, forward: Bytes = ZERO, copied: int = 0) -> LayerTrace:
    inputs = {"input": Bytes(10), "keeps_input": False}
    gradients = {"input_gradient": True, "output_gradient": True}
    return LayerTrace(
        flops=0, attention=(), kept=kept, copied=copied, forward=forward, backward=backward,
        **inputs, **gradients,
    )  # fmt: skip


def of(*some: LayerTrace, num_tokens: int, checkpointing: bool = False) -> Activations:
    head = traced(TINY, FULL, "float32").head
    one_row = Trace(7, some, Bytes(2), Bytes(10), head)
    return of_decoder(one_row, num_tokens=num_tokens, checkpointing=checkpointing)


def test_tokens_scale_and_weights_do_not() -> None:
    found = of(layer(Bytes(100, 5), Bytes(20, 3)), num_tokens=21)
    assert found == Activations(kept=3 * 102 + 5, working=3 * 20 + 3, cached=0)


def test_a_lower_layer_that_needs_more_decides_the_peak() -> None:
    greedy, modest = layer(Bytes(10), Bytes(500)), layer(Bytes(30), Bytes(20))
    assert of(modest, greedy, num_tokens=7).working == 500
    assert of(greedy, modest, num_tokens=7).working == 500 - 30


def test_a_forward_pass_may_need_most() -> None:
    assert of(layer(Bytes(10), Bytes(20), forward=Bytes(200)), num_tokens=7).working == 190


def test_a_checkpointed_layer_is_there_once_more() -> None:
    two = [layer(Bytes(100, 5), Bytes(20), copied=4)] * 2
    found = of(*two, num_tokens=7, checkpointing=True)
    assert found == Activations(kept=2 + 2 * 10, working=100 + 5 + 20, cached=8)
    within = [dataclasses.replace(one, keeps_input=True) for one in two]
    assert of(*within, num_tokens=7, checkpointing=True).working == 100 + 5 + 20 - 10
