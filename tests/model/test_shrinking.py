"""Small configurations keep every kind of layer, and nothing that is large."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from musicllm.model import shrinking

SIZES_OF_CLASSES = {
    "gemma3_text": 6, "deepseek_v3": 4, "jamba": 5, "qwen3_next": 4, "falcon_h1": 2,
    "nemotron_h": 4, "llama4_text": 4, "gpt_neox": 2, "kimi_linear": 5, "gemma3n_text": 25,
    "granitemoehybrid": 2, "minimax": 2, "gpt2": 2, "opt": 2,
}  # fmt: skip
"""model_type with the sizes that its class has by default -> layers that hold every kind."""
QUICK = ("gemma3_text", "deepseek_v3", "jamba")


def skeleton(kind: str, **changes: object) -> PreTrainedModel:
    with torch.device("meta"):
        config = AutoConfig.for_model(kind, **changes)
        return AutoModelForCausalLM.from_config(config, attn_implementation="eager")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in SIZES_OF_CLASSES
    ],
)
def test_every_kind_of_layer_is_kept_in_a_small_size(kind: str) -> None:
    large = skeleton(kind)
    config = shrinking.shrunk(large, max_length=512)
    with torch.device("meta"):
        small = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    assert type(small) is type(large)
    assert len(shrinking.layers(small)) == SIZES_OF_CLASSES[kind]
    assert small.num_parameters() < 2_000_000 < large.num_parameters()
    shrinking.compare(large, small)


def test_a_layer_that_differs_from_the_large_one_is_noticed() -> None:
    large = skeleton("gemma3_text")
    config = shrinking.shrunk(large, max_length=512)
    config.layer_types = ["full_attention", *config.layer_types[1:]]
    with torch.device("meta"):
        small = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with pytest.raises(ValueError, match=r"layer 0: self_attn\.\w+ is "):
        shrinking.compare(large, small)


def test_only_sizes_and_dropout_change() -> None:
    large = skeleton(
        "gemma2", attn_logit_softcapping=50.0, attention_dropout=0.1, query_pre_attn_scalar=144
    )
    small = shrinking.shrunk(large, max_length=512)
    assert (small.hidden_size, small.sliding_window, small.vocab_size) == (64, 8, 128)
    assert (small.attn_logit_softcapping, small.attention_dropout) == (1.0, 0.0)
    for key in ("query_pre_attn_scalar", "hidden_activation", "rms_norm_eps", "attention_bias"):
        assert getattr(small, key) == getattr(large.config, key)
    assert large.config.sliding_window == 4096
    assert large.config.attention_dropout == 0.1
