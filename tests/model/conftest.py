"""Tiny models for the model room's tests."""

from __future__ import annotations

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from musicllm.model import base
from musicllm.model.spec import AdapterSpec, ModelSpec
from tests.models import LORA, TINY, letter_tokenizer


@pytest.fixture
def tiny() -> ModelSpec:
    return TINY


@pytest.fixture
def tied() -> ModelSpec:
    return TINY.changed(tie_word_embeddings=True)


@pytest.fixture
def lora() -> AdapterSpec:
    return LORA


@pytest.fixture
def model(tiny: ModelSpec) -> PreTrainedModel:
    return base.build(tiny, seed=0)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return letter_tokenizer()
