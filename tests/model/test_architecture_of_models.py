"""What is read from a configuration, whatever the names of its family."""

from __future__ import annotations

import pytest

from musicllm.errors import ConfigError
from musicllm.model.architecture import (
    attention_dropout_of,
    config_of,
    dropouts,
    head_dim_of,
    skeleton,
)
from musicllm.model.spec import ModelSpec
from tests.model import families


def spec_of(family: str, **changes: object) -> ModelSpec:
    keys = families.published(family, **changes)
    return ModelSpec(family, None, None, keys, "float32", False, ())


@pytest.mark.parametrize(
    ("family", "head_dim"),
    [("llama", 8), ("qwen3", 16), ("gpt2", 8), ("deepseek_v3", 16), ("gemma4", 16)],
)
def test_widest_heads(family: str, head_dim: int) -> None:
    assert head_dim_of(config_of(spec_of(family))) == head_dim


def test_dropouts_of_every_name() -> None:
    gpt2 = config_of(spec_of("gpt2", attn_pdrop=0.2, resid_pdrop=0.1, embd_pdrop=0.0))
    assert attention_dropout_of(gpt2) == 0.2
    assert dropouts(gpt2) == {"attn_pdrop": 0.2, "resid_pdrop": 0.1, "embd_pdrop": 0.0}
    qwen = config_of(spec_of("qwen3", attention_dropout=0.3))
    assert attention_dropout_of(qwen) == 0.3
    assert dropouts(qwen) == {"attention_dropout": 0.3}


def test_a_skeleton_has_the_shapes_and_no_memory() -> None:
    model = skeleton(spec_of("qwen3_moe"), vocab_size=400)
    assert model.device.type == "meta"
    assert model.get_input_embeddings().num_embeddings == 400
    assert skeleton(spec_of("qwen3_moe"), vocab_size=400) is model, "built once"


def test_a_value_that_the_class_refuses() -> None:
    with pytest.raises(ConfigError, match=r"model\.config=llama is refused by its class"):
        skeleton(spec_of("llama", hidden_size="wide"))
