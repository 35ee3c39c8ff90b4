from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from musicllm.model.layers import layers
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.train.memory.activations import Numerics, numerics, of_decoder, of_layer
from tests.models import TINY
from tests.train.memory.batch import ADAPTERS, FULL, LLAMA_30M, LORA, SMALL, MicroBatch

FLOAT32 = Numerics(4, 4, 4, recast=False, dropout_mask=1, copies_attention=False)
BFLOAT16 = Numerics(2, 2, 2, recast=False, dropout_mask=1, copies_attention=False)


def types(spec: ModelSpec, adapter: AdapterSpec, dtype: str) -> Numerics:
    return numerics(spec, adapter, compute_dtype=dtype, on_gpu=False, attention="varlen_sdpa")


def test_a_layer_of_a_fully_trained_model_by_hand() -> None:
    # TINY: width 32, keys 16, feed-forward 48, 4 heads; bytes of a token in float32
    norms = 2 * (4 * (32 + 1) + 4 * 32)  # input, its scale; and what the weight multiplies
    attention = 4 * (32 + 16 + 16 + 32) + 4 * 4
    feed_forward = 3 * 4 * 48
    inputs = 4 * (32 + 32 + 48)  # of q, k, v together, of gate and up, of down; o's is attention's
    layer = layers(TINY, FULL)[0]
    assert of_layer(TINY, FULL, FLOAT32, layer) == norms + attention + feed_forward + inputs


def test_a_layer_with_lora_by_hand() -> None:
    lora = dataclasses.replace(LORA, targets=("v_proj", "down_proj"))
    second = layers(TINY, lora)[1]
    norms = 2 * 4 * (32 + 1)
    attention = 2 * (32 + 16 + 16 + 32) + 4 * 4
    feed_forward = 3 * 2 * 48
    adapted = (2 + 1) * (32 + 48) + 2 * 2 * 8  # inputs in 16 bits, masks, and r numbers each
    expected = norms + attention + feed_forward + adapted
    assert of_layer(TINY, lora, BFLOAT16, second) == expected


@pytest.mark.parametrize(
    ("stored", "compute", "ends", "expected"),
    [
        ("bfloat16", "bfloat16", False, (2, 2, False)),
        ("bfloat16", "bfloat16", True, (4, 2, False)),  # float32 embeddings widen the stream
        ("float16", "bfloat16", False, (4, 2, True)),  # the two add up to float32
        ("float16", "float32", False, (4, 4, False)),  # loaded in float32
    ],
)
def test_types_follow_from_autocast_and_promotion(
    stored: str, compute: str, ends: bool, expected: tuple[int, int, bool]
) -> None:
    spec = dataclasses.replace(TINY, dtype=stored)
    found = types(spec, dataclasses.replace(LORA, train_embeddings=ends), compute)
    assert (found.stream, found.frozen, found.recast) == expected


def test_what_is_not_in_4_bits_is_float32_under_nf4() -> None:
    spec = dataclasses.replace(TINY, dtype="bfloat16")
    found = types(spec, dataclasses.replace(LORA, quantization="nf4"), "bfloat16")
    assert (found.stream, found.frozen, found.recast) == (4, 4, False)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    ("stored", "compute"),
    [("float32", "float32"), ("bfloat16", "bfloat16"), ("float16", "bfloat16")],
)
def test_the_formula_gives_what_autograd_keeps(
    adapter: str, stored: str, compute: str, saved_bytes: Callable[[MicroBatch], int]
) -> None:
    chosen = ADAPTERS[adapter]
    spec = dataclasses.replace(SMALL, dtype="float32" if adapter == "full" else stored)
    batch = MicroBatch(spec, chosen, compute_dtype=compute, num_tokens=128, checkpointing=False)
    found = types(spec, chosen, compute)
    expected = of_decoder(spec, chosen, found, num_tokens=128, checkpointing=False)
    assert saved_bytes(batch) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("adapter", ["full", "lora", "lora_and_ends"])
def test_checkpointing_keeps_the_inputs_of_layers(
    adapter: str, saved_bytes: Callable[[MicroBatch], int]
) -> None:
    chosen = ADAPTERS[adapter]
    batch = MicroBatch(SMALL, chosen, compute_dtype="bfloat16", num_tokens=128, checkpointing=True)
    found = types(SMALL, chosen, "bfloat16")
    expected = of_decoder(SMALL, chosen, found, num_tokens=128, checkpointing=True)
    angles = 128 * 2 * 4 * 32  # checkpoints hold them in another way than autograd's
    assert saved_bytes(batch) == pytest.approx(expected - angles, rel=0.02)


@pytest.mark.parametrize("adapter", ["full", "lora"])
def test_a_model_of_30_million_parameters(
    adapter: str, saved_bytes: Callable[[MicroBatch], int]
) -> None:
    chosen = ADAPTERS[adapter]
    batch = MicroBatch(
        LLAMA_30M, chosen, compute_dtype="bfloat16", num_tokens=64, checkpointing=False
    )
    found = types(LLAMA_30M, chosen, "bfloat16")
    expected = of_decoder(LLAMA_30M, chosen, found, num_tokens=64, checkpointing=False)
    assert saved_bytes(batch) == pytest.approx(expected, rel=0.02)
