from __future__ import annotations

import dataclasses

import pytest

from musicllm.model import adapters, base, size
from musicllm.model.spec import AdapterSpec, ModelSpec
from tests.model import families
from tests.models import LORA, TINY

LLAMA_2_7B = ModelSpec(
    name="llama2_7b",
    location="meta-llama/Llama-2-7b-hf",
    revision=None,
    config={
        "model_type": "llama",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "max_position_embeddings": 4096,
        "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
    },
    dtype="float16",
    trust_remote_code=False,
    ignored_tensors=(),
)
ALL_LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
R64 = AdapterSpec(
    "lora", 64, 16.0, 0.1, ALL_LINEAR, False, False, False, None, "lora", "zero", range(0)
)


def test_llama_2_7b_counted_by_hand():
    counted = size.count(LLAMA_2_7B, R64)
    assert counted.parts == {
        "embeddings": 32000 * 4096,
        "attention": 32 * 4 * 4096 * 4096,
        "mlp": 32 * 3 * 4096 * 11008,
        "router": 0,
        "norms": (2 * 32 + 1) * 4096,
        "head": 32000 * 4096,
        "other": 0,
        "adapter": 32 * 64 * (4 * (4096 + 4096) + 3 * (4096 + 11008)),
    }
    assert counted.num_parameters == counted.num_frozen == 6_738_415_616
    assert counted.num_trainable == 159_907_840


def test_llama_2_7b_with_embeddings_and_head():
    both = dataclasses.replace(R64, train_embeddings=True, train_output_head=True)
    assert size.count(LLAMA_2_7B, both).num_trainable == 159_907_840 + 2 * 131_072_000


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize(
    ("embeddings", "head"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_counts_are_those_of_peft(tiny, lora, tied, use_dora, embeddings, head):
    spec = tiny.changed(tie_word_embeddings=tied)
    adapter = dataclasses.replace(
        lora, use_dora=use_dora, train_embeddings=embeddings, train_output_head=head
    )
    counted = size.count(spec, adapter)
    model = adapters.attach(base.build(spec, seed=0), adapter, seed=0)
    trained, every = model.get_nb_trainable_parameters()
    assert counted.num_trainable == trained
    assert counted.num_frozen == every - trained


@pytest.mark.parametrize("kind", ["full", "none"])
def test_counts_without_an_adapter(tiny, lora, kind):
    counted = size.count(tiny, dataclasses.replace(lora, kind=kind), vocab_size=100)
    model = base.build(tiny, seed=0, vocab_size=100)
    assert counted.num_parameters == model.num_parameters()
    assert counted.num_trainable == (model.num_parameters() if kind == "full" else 0)
    assert counted.num_trainable + counted.num_frozen == model.num_parameters()


def test_a_tied_head_counts_once(tied, lora):
    counted = size.count(tied, lora)
    assert counted.parts["head"] == 0
    assert counted.num_parameters == base.build(tied, seed=0).num_parameters()


def test_of_experts_the_chosen_ones_are_active():
    spec = dataclasses.replace(TINY, config=families.published("mixtral"))
    counted = size.count(spec, dataclasses.replace(LORA, kind="full", targets=()))
    experts = 2 * 4 * 3 * 32 * 48  # layers x experts x matrices of a Mixtral's expert
    assert counted.num_active == counted.num_parameters - experts // 2  # 2 of 4
    assert counted.num_hidden == 2 * (2 * 32 * 32 + 2 * 32 * 16 + 4 * 32)  # attention and router


def test_linear_layers_are_packed_in_4_bits_but_neither_experts_nor_the_head():
    spec = dataclasses.replace(TINY, config=families.published("mixtral"))
    counted = size.count(spec, LORA)
    assert counted.num_quantizable == 2 * (2 * 32 * 32 + 2 * 32 * 16)
    assert counted.largest_matrix == 32 * 32


def test_lora_on_the_head_counts(lora):
    plain, with_head = (
        size.count(TINY, dataclasses.replace(lora, targets=targets)).num_trainable
        for targets in (("q_proj",), ("q_proj", "lm_head"))
    )
    assert with_head - plain == 4 * (32 + 64)


def test_shapes_of_hidden_matrices(lora):
    found = size.count(TINY, dataclasses.replace(lora, targets=("q_proj", "k_proj")))
    assert found.hidden_shapes == {(4, 32): 4, (32, 4): 2, (16, 4): 2}
