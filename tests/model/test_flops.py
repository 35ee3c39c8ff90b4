from __future__ import annotations

import dataclasses

import pytest

from musicllm.model.flops import Documents, train_flops_per_token
from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.trace import AttentionCall, trace
from tests.model import families
from tests.model.llama_flops import train_flops_per_token as by_hand
from tests.models import LORA, TINY

# TINY: hidden 32, feed-forward 48, 4 heads, keys and values of half the width, 2 layers, 64 tokens
ATTENTION = 32 * 32 + 32 * 16 + 32 * 16 + 32 * 32
MLP = 3 * 32 * 48
HEAD = 32 * 64
KEYS = Documents.of([19])  # 10 keys on average
FULL = dataclasses.replace(LORA, kind="full", targets=())


def flops(spec: ModelSpec, adapter: AdapterSpec, *, supervised_share: float = 1) -> float:
    return train_flops_per_token(trace(spec, adapter), KEYS, supervised_share=supervised_share)


def test_full_training_is_six_flops_a_weight(tiny: ModelSpec) -> None:
    weights = 2 * (ATTENTION + MLP) + HEAD
    attention = 2 * 12 * 10 * 32  # layers x 12 x keys x width
    assert flops(tiny, FULL) == 6 * weights + attention


def test_lora_needs_no_weight_gradient_of_the_base(tiny: ModelSpec, lora: AdapterSpec) -> None:
    # r=4 on q (32 to 32), v (32 to 16) and down (48 to 32); nothing is trained below layer 0
    base_top = 4 * (ATTENTION + MLP)
    lora_top = 6 * 4 * ((32 + 32) + (32 + 16) + (48 + 32))
    # in layer 0 the inputs of q, k, v need no gradient, and k gets none at all
    base_low = 2 * (32 * 32 + 2 * 32 * 16) + 4 * (32 * 32 + MLP)
    lora_low = lora_top - 2 * 4 * (32 + 32)
    attention = 12 * 10 * 32 + (12 - 2) * 10 * 32
    head = 4 * HEAD / 4
    counted = flops(tiny, lora, supervised_share=0.25)
    assert counted == base_top + lora_top + base_low + lora_low + attention + head


ENDS = dataclasses.replace(LORA, train_embeddings=True, train_output_head=True)
ADAPTERS = {
    "full": FULL,
    "lora": LORA,
    "ends": ENDS,
    "embeddings": dataclasses.replace(LORA, train_embeddings=True),
    "down": dataclasses.replace(LORA, targets=("down_proj",)),
    "values": dataclasses.replace(LORA, targets=("v_proj",)),
    "dropout": dataclasses.replace(LORA, targets=("attention", "mlp"), dropout=0.1),
    "head": dataclasses.replace(LORA, targets=("q_proj", "lm_head")),
    "dora": dataclasses.replace(LORA, use_dora=True),
    "nothing": dataclasses.replace(LORA, kind="none", targets=()),
}


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("tied", [False, True])
def test_a_trace_counts_what_the_formulas_of_llama_do(name: str, tied: bool) -> None:
    if tied and name == "head":
        pytest.skip("a tied head has no LoRA")
    spec = TINY.changed(tie_word_embeddings=tied, num_hidden_layers=4)
    counted = flops(spec, ADAPTERS[name], supervised_share=0.25)
    formula = by_hand(spec, ADAPTERS[name], mean_context=10, supervised_share=0.25)
    assert counted == pytest.approx(formula, rel=1e-12)


def test_a_larger_vocabulary_makes_the_head_dearer(tiny: ModelSpec, lora: AdapterSpec) -> None:
    plain, larger = (
        train_flops_per_token(trace(tiny, lora, vocab_size=size), KEYS, supervised_share=1)
        for size in (None, 100)
    )
    assert larger - plain == 4 * 32 * (100 - 64)


def test_llama_2_7b_with_lora_and_embeddings() -> None:
    llama = TINY.changed(
        vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=32, max_position_embeddings=4096,
    )  # fmt: skip
    r64 = dataclasses.replace(ENDS, r=64, dropout=0.1, targets=("attention", "mlp"))
    blocks, adapter, ends = 6_476_005_376, 159_907_840, 131_072_000
    attention = 32 * 12 * 1024 * 4096
    counted = train_flops_per_token(trace(llama, r64), Documents.of([2047]), supervised_share=1)
    assert counted == 4 * blocks + 6 * adapter + 6 * ends + attention


def test_keys_of_documents_windows_and_chunks() -> None:
    two = Documents(((4, 2), (2, 1)))  # 1 + 2 + 3 + 4 keys twice, and 1 + 2
    assert two.mean_context() == (2 * 10 + 3) / 10
    assert two.mean_context(window=2) == (2 * (1 + 2 + 2 + 2) + 3) / 10
    assert Documents.of([7]).mean_context(chunk=3) == (2 * (1 + 2 + 3) + 1) / 7
    assert Documents.of([7]).mean_context(window=99, chunk=99) == 4


@pytest.mark.parametrize(
    ("family", "windows"),
    [("mistral_window", [(16, None)] * 2), ("gemma2", [(16, None), (None, None)]),
     ("gpt_oss", [(16, None), (None, None)]), ("llama4", [(None, 16)] * 3 + [(None, None)])],
)  # fmt: skip
def test_windows_and_chunks_are_those_of_the_layers(
    family: str, windows: list[tuple[int | None, int | None]]
) -> None:
    spec = dataclasses.replace(TINY, config=families.published(family))
    calls = [call for layer in trace(spec, FULL).layers for call in layer.attention]
    assert [(call.window, call.chunk) for call in calls] == windows


def test_of_experts_those_that_a_token_passes_count() -> None:
    spec = dataclasses.replace(TINY, config=families.published("mixtral"))
    router, experts = 32 * 4, 2 * MLP  # 2 of 4 experts
    head = 32 * families.VOCAB_SIZE
    attention = 2 * 12 * 10 * 32
    assert flops(spec, FULL) == 6 * (2 * (ATTENTION + router + experts) + head) + attention


def test_attention_by_hand() -> None:
    values_only = AttentionCall(2, 8, 4, None, None, False, False, True)
    assert values_only.flops(10) == 2 * 10 * 2 * (8 + 4 + 4)
    whole = AttentionCall(2, 8, 4, None, None, True, True, True)
    assert whole.flops(10) == 2 * 10 * 2 * (3 * 8 + 3 * 4)
