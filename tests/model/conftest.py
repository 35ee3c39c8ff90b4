"""Tiny models for the model room's tests."""

from __future__ import annotations

import dataclasses

import pytest
from transformers import PreTrainedModel

from musicllm.model import base
from musicllm.model.spec import AdapterSpec, ModelSpec

TINY = ModelSpec(
    name="tiny",
    location=None,
    revision=None,
    architecture="llama",
    vocab_size=64,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    rope_theta=10000.0,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    attention_dropout=0.0,
    initializer_range=0.2,
    dtype="float32",
    trust_remote_code=False,
)

LORA = AdapterSpec(
    kind="lora",
    r=4,
    alpha=8.0,
    dropout=0.0,
    target_modules=("q_proj", "v_proj", "down_proj"),
    train_embeddings=False,
    train_output_head=False,
    use_dora=False,
    quantization=None,
)


@pytest.fixture
def tiny() -> ModelSpec:
    return TINY


@pytest.fixture
def tied() -> ModelSpec:
    return dataclasses.replace(TINY, tie_word_embeddings=True)


@pytest.fixture
def lora() -> AdapterSpec:
    return LORA


@pytest.fixture
def model(tiny: ModelSpec) -> PreTrainedModel:
    return base.build(tiny, seed=0)
