from __future__ import annotations

import dataclasses

import pytest

from musicllm.model.flops import train_flops_per_token
from musicllm.model.layers import layers
from musicllm.model.spec import AdapterSpec, ModelSpec

# TINY: hidden 32, feed-forward 48, 4 heads, keys and values of half the width, 2 layers, 64 tokens
ATTENTION = 32 * 32 + 32 * 16 + 32 * 16 + 32 * 32
MLP = 3 * 32 * 48
HEAD = 32 * 64


def test_full_training_is_six_flops_a_weight(tiny: ModelSpec, lora: AdapterSpec) -> None:
    full = dataclasses.replace(lora, kind="full", targets=())
    weights = 2 * (ATTENTION + MLP) + HEAD
    attention = 2 * 12 * 10 * 32  # layers x 12 x keys x width
    counted = train_flops_per_token(tiny, full, mean_context=10, supervised_share=1)
    assert counted == 6 * weights + attention


def test_lora_needs_no_weight_gradient_of_the_base(tiny: ModelSpec, lora: AdapterSpec) -> None:
    # r=4 on q (32 to 32), v (32 to 16) and down (48 to 32); nothing is trained below layer 0
    base_top = 4 * (ATTENTION + MLP)
    lora_top = 6 * 4 * ((32 + 32) + (32 + 16) + (48 + 32))
    # in layer 0 the inputs of q, k, v need no gradient, and k gets none at all
    base_low = 2 * (32 * 32 + 2 * 32 * 16) + 4 * (32 * 32 + MLP)
    lora_low = lora_top - 2 * 4 * (32 + 32)
    attention = 12 * 10 * 32 + (12 - 2) * 10 * 32
    head = 4 * HEAD / 4
    counted = train_flops_per_token(tiny, lora, mean_context=10, supervised_share=0.25)
    assert counted == base_top + lora_top + base_low + lora_low + attention + head


def test_trained_embeddings_let_gradients_through_everywhere(
    tiny: ModelSpec, lora: AdapterSpec
) -> None:
    ends = dataclasses.replace(lora, train_embeddings=True, train_output_head=True)
    one_layer = 4 * (ATTENTION + MLP) + 6 * 4 * ((32 + 32) + (32 + 16) + (48 + 32)) + 12 * 10 * 32
    counted = train_flops_per_token(tiny, ends, mean_context=10, supervised_share=1)
    assert counted == 2 * one_layer + 6 * HEAD


def test_nothing_below_the_first_adapted_matrix_gets_a_gradient(
    tiny: ModelSpec, lora: AdapterSpec
) -> None:
    down = dataclasses.replace(lora, targets=("down_proj",))
    first, second = layers(tiny, down)
    assert [name for name, one in first.linears.items() if one.output_gradient] == ["down_proj"]
    assert not first.linears["down_proj"].input_gradient
    assert all(one.input_gradient for one in second.linears.values())
    # only values adapted: no gradient of scores, queries and keys in the first layer
    values = dataclasses.replace(lora, targets=("v_proj",))
    first, _ = layers(tiny, values)
    assert [name for name, one in first.linears.items() if not one.output_gradient] == [
        "q_proj",
        "k_proj",
    ]


@pytest.mark.parametrize("tied", [False, True])
def test_a_tied_head_is_trained_with_the_embeddings(
    tiny: ModelSpec, lora: AdapterSpec, tied: bool
) -> None:
    spec = tiny.changed(tie_word_embeddings=tied)
    embeddings = dataclasses.replace(lora, train_embeddings=True)
    with_head, without = (
        train_flops_per_token(spec, embeddings, mean_context=1, supervised_share=share)
        for share in (1, 0)
    )
    assert with_head - without == (6 if tied else 4) * HEAD


def test_a_larger_vocabulary_makes_the_head_dearer(tiny: ModelSpec, lora: AdapterSpec) -> None:
    plain, larger = (
        train_flops_per_token(tiny, lora, mean_context=1, supervised_share=1, vocab_size=size)
        for size in (None, 100)
    )
    assert larger - plain == 4 * 32 * (100 - 64)


def test_llama_2_7b_with_lora_and_embeddings() -> None:
    llama = ModelSpec(
        "llama2_7b", None, None, "llama", 32000, 4096, 11008, 32, 32, 32, 4096, 10000.0, 1e-5,
        False, 0.0, 0.02, "float16", False,
    )  # fmt: skip
    linear = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    r64 = AdapterSpec("lora", 64, 16.0, 0.1, linear, True, True, False, None, "lora", "zero")
    blocks, adapter, ends = 6_476_005_376, 159_907_840, 131_072_000
    attention = 32 * 12 * 1024 * 4096
    counted = train_flops_per_token(llama, r64, mean_context=1024, supervised_share=1)
    assert counted == 4 * blocks + 6 * adapter + 6 * ends + attention
