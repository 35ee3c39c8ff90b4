"""Every option of conf/model has the parameters that its authors publish, counted on meta."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from musicllm.model import anatomy, architecture
from musicllm.model.spec import ModelSpec

OPTIONS = Path(__file__).parents[2] / "conf" / "model"

PARAMETERS = {
    "chatmusician": 6_738_415_616,
    "chatmusician_base": 6_738_415_616,
    "gemma2_2b": 2_614_341_888,
    "gemma2_9b": 9_241_705_984,
    "gemma3_1b": 999_885_952,
    "gemma3_270m": 268_098_176,
    "gemma3_4b": 3_880_263_168,
    "gpt_oss_20b": 20_914_757_184,
    "granite3_1_2b": 2_533_525_504,
    "granite3_3_8b": 8_170_835_968,
    "internlm2_5_7b": 7_737_708_544,
    "internlm2_5_7b_chat": 7_737_708_544,
    "internlm2_5_1_8b_chat": 1_889_110_016,
    "internlm2_chat_1_8b": 1_889_110_016,
    "internlm2_chat_7b": 7_737_708_544,
    "internlm3_8b": 8_804_241_408,
    "llama2_7b": 6_738_415_616,
    "llama3_1_8b": 8_030_261_248,
    "llama3_2_1b": 1_235_814_400,
    "llama3_2_3b": 3_212_749_824,
    "llama_30m": 29_990_784,
    "mistral_7b_v01": 7_241_732_096,
    "mistral_7b_v03": 7_248_023_552,
    "mistral_nemo_12b": 12_247_782_400,
    "mistral_small_24b": 23_572_403_200,
    "olmo2_7b": 7_298_617_344,
    "phi4_14b": 14_659_507_200,
    "qwen2_5_0_5b": 494_032_768,
    "qwen2_5_1_5b": 1_543_714_304,
    "qwen2_5_3b": 3_085_938_688,
    "qwen2_5_7b": 7_615_616_512,
    "qwen3_0_6b": 596_049_920,
    "qwen3_0_6b_base": 596_049_920,
    "qwen3_14b": 14_768_307_200,
    "qwen3_14b_base": 14_768_307_200,
    "qwen3_1_7b": 1_720_574_976,
    "qwen3_1_7b_base": 1_720_574_976,
    "qwen3_30b_a3b": 30_532_122_624,
    "qwen3_30b_a3b_base": 30_532_122_624,
    "qwen3_32b": 32_762_123_264,
    "qwen3_4b": 4_022_468_096,
    "qwen3_4b_base": 4_022_468_096,
    "qwen3_8b": 8_190_735_360,
    "qwen3_8b_base": 8_190_735_360,
    "smollm2_135m": 134_515_008,
    "smollm2_1_7b": 1_711_376_384,
    "smollm3_3b": 3_075_098_624,
    "tiny": 3_315_968,
    "tiny_third": 1_063_520,
}
"""Published totals: those that the hub states for the weights, or their bytes over the bytes of an
element. Of Gemma 3 4B the text decoder; of llama_30m, tiny and tiny_third, which are ours, and of
InternLM3 and the base models of Granite 3, whose totals are not stated, by hand from the shapes."""

ONE_OF_A_CLASS = (
    "gemma2_2b", "gemma3_1b", "gemma3_4b", "gpt_oss_20b", "granite3_3_8b", "internlm2_5_7b",
    "internlm3_8b", "llama3_2_1b", "mistral_7b_v03", "olmo2_7b", "phi4_14b", "qwen2_5_7b",
    "qwen3_4b_base", "qwen3_30b_a3b", "smollm3_3b",
)  # fmt: skip

ALL = [
    name if name in ONE_OF_A_CLASS else pytest.param(name, marks=pytest.mark.slow)
    for name in PARAMETERS
]


def read(name: str) -> dict[str, Any]:
    """Return an option with what it inherits."""
    with initialize_config_dir(str(OPTIONS), version_base=None):
        values: Any = OmegaConf.to_container(compose(name))
    return values


def spec_of(values: dict[str, Any]) -> ModelSpec:
    keys = ("name", "location", "revision", "config", "dtype", "trust_remote_code")
    return ModelSpec(*(values[key] for key in keys), ())


@pytest.mark.parametrize("name", ALL)
def test_parameters_are_as_published(name: str) -> None:
    values = read(name)
    assert values["name"] == name
    model = architecture.skeleton(spec_of(values))
    assert sum(weight.numel() for weight in model.parameters()) == PARAMETERS[name]


def test_every_option_has_a_published_total() -> None:
    named = {path.stem for path in OPTIONS.glob("*.yaml")}
    assert named - {"hf", *HEARING} == set(PARAMETERS)


HEARING = ("mu_llama", "mu_llama_tiny", "audio_projector")
"""Others of these options with an option of `audio`."""

OWN = ("tiny", "tiny_third", "llama_30m")
"""Random weights of ours, which have no location."""


def test_two_options_are_not_of_the_same_weights() -> None:
    """An option that inherits and forgets to say its own location would load its parent's."""
    locations = [read(name)["location"] for name in PARAMETERS if name not in OWN]
    assert len(set(locations)) == len(locations)


def test_features_that_no_count_shows() -> None:
    """Windows, caps, scales, positions and heads: what a wrong key would lose without a word."""
    decoder = {name: architecture.config_of(spec_of(read(name))) for name in ONE_OF_A_CLASS}
    assert decoder["llama3_2_1b"].rope_parameters["rope_type"] == "llama3"
    assert decoder["llama3_2_1b"].rope_parameters["factor"] == 32
    assert decoder["qwen3_4b_base"].max_position_embeddings == 32_768
    assert architecture.head_dim_of(decoder["qwen3_4b_base"]) == 128
    assert decoder["qwen2_5_7b"].layer_types == ["full_attention"] * 28
    assert decoder["mistral_7b_v03"].sliding_window is None
    assert architecture.config_of(spec_of(read("mistral_7b_v01"))).sliding_window == 4096
    assert decoder["gemma2_2b"].attn_logit_softcapping == 50
    assert decoder["gemma2_2b"].final_logit_softcapping == 30
    assert decoder["gemma2_2b"].layer_types[:2] == ["sliding_attention", "full_attention"]
    assert decoder["gemma3_1b"].layer_types[:6] == ["sliding_attention"] * 5 + ["full_attention"]
    ropes = decoder["gemma3_4b"].rope_parameters
    assert ropes["full_attention"] == {"rope_type": "linear", "factor": 8, "rope_theta": 1e6}
    assert ropes["sliding_attention"]["rope_theta"] == 1e4
    assert decoder["gpt_oss_20b"].rope_parameters["rope_type"] == "yarn"
    assert decoder["gpt_oss_20b"].sliding_window == 128
    assert decoder["granite3_3_8b"].logits_scaling == 16
    assert decoder["smollm3_3b"].no_rope_layers == [1, 1, 1, 0] * 9
    assert decoder["phi4_14b"].rope_parameters["rope_theta"] == 250_000
    assert decoder["internlm2_5_7b"].rope_parameters["factor"] == 2


def test_active_parameters_of_experts() -> None:
    """8 of 128 experts compute on a token in Qwen3 30B-A3B: 3.35e9 parameters with embeddings."""
    parts = anatomy.inspect(architecture.skeleton(spec_of(read("qwen3_30b_a3b"))))
    idle = sum(m.size - m.active_size for layer in parts.layers for m in layer.matrices)
    assert PARAMETERS["qwen3_30b_a3b"] - idle == 3_353_032_704
