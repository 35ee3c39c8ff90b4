"""Small random models of the classes of transformers that people train, for any test.

`config_of(name)` is a configuration of a family of about 50,000 parameters, `build(name)` the model
and `write(folder, name)` its folder with a tokenizer, as one is published. Where a class has a
window it is `WINDOW` tokens, so that documents should be longer than that.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from musicllm.data.vocabulary import train_tokenizer
from musicllm.model.base import seeded
from tests.helpers import TEMPLATE, make_tune

WINDOW = 16
VOCAB_SIZE = 320
"""Rows of the embeddings; the tokenizer has 300 tokens."""

Keys = dict[str, Any]

SIZES: Keys = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,
    "initializer_range": 0.2,
}
TIED: Keys = {"tie_word_embeddings": True}
HEADS: Keys = {"head_dim": 16}  # more than hidden / heads, as in 8 of 22 published models
LOCAL: Keys = {"sliding_window": WINDOW}
ALTERNATING: Keys = LOCAL | {"layer_types": ["sliding_attention", "full_attention"]}
EXPERTS: Keys = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LOCAL_EXPERTS: Keys = {"num_local_experts": 4, "num_experts_per_tok": 2}
ROUTED: Keys = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
                "n_shared_experts": 1, "first_k_dense_replace": 1}  # fmt: skip
LATENT: Keys = {"num_key_value_heads": 4, "kv_lora_rank": 16, "q_lora_rank": 16,
                "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}  # fmt: skip
GRANITE: Keys = {"embedding_multiplier": 3.0, "residual_multiplier": 0.5,
                 "attention_multiplier": 0.2, "logits_scaling": 4.0}  # fmt: skip
DELTA: Keys = {"num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"],
               "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
               "linear_value_head_dim": 8} | HEADS  # fmt: skip
MAMBA: Keys = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1,
               "mamba_expand": 2, "mamba_chunk_size": 8}  # fmt: skip
LLAMA3_ROPE: Keys = {
    "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
    }
}  # fmt: skip
GPT2: Keys = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512}

ATTENTION: dict[str, tuple[str, Keys]] = {
    "llama": ("llama", {}),
    "llama3": ("llama", TIED | LLAMA3_ROPE),
    "llama_wide_heads": ("llama", HEADS | {"attention_bias": True, "mlp_bias": True}),
    "qwen2": ("qwen2", {}),
    "qwen2_window": ("qwen2", LOCAL | {"use_sliding_window": True, "max_window_layers": 1}),
    "qwen2_moe": ("qwen2_moe", EXPERTS | {"shared_expert_intermediate_size": 24}),
    "qwen3": ("qwen3", HEADS | TIED),
    "qwen3_moe": ("qwen3_moe", HEADS | EXPERTS),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral_window": ("mistral", LOCAL),
    "mistral_wide_heads": ("mistral", HEADS | {"sliding_window": None}),
    "ministral": ("ministral", ALTERNATING | HEADS),
    "ministral3": ("ministral3", HEADS),
    "mixtral": ("mixtral", LOCAL_EXPERTS),
    "gemma": ("gemma", HEADS | TIED),
    "gemma2": ("gemma2", ALTERNATING | HEADS | TIED | {"query_pre_attn_scalar": 16,
                         "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
    "gemma3": ("gemma3_text", ALTERNATING | HEADS | TIED | {"query_pre_attn_scalar": 16}),
    "gemma4": ("gemma4_text", ALTERNATING | HEADS | TIED | {
        "global_head_dim": 16, "hidden_size_per_layer_input": 8,
        "vocab_size_per_layer_input": VOCAB_SIZE, "final_logit_softcapping": 3.0}),
    "olmo": ("olmo", {}),
    "olmo2": ("olmo2", {}),
    "olmo3": ("olmo3", ALTERNATING),
    "olmoe": ("olmoe", {"num_experts": 4, "num_experts_per_tok": 2}),
    "phi": ("phi", {"partial_rotary_factor": 0.5}),
    "phi3": ("phi3", {}),
    "phi3_window": ("phi3", LOCAL),
    "smollm3": ("smollm3", TIED | {"no_rope_layers": [1, 0]}),
    "internlm3": ("internlm3", {"head_dim": 8}),
    "glm4": ("glm4", HEADS),
    "glm4_moe": ("glm4_moe", HEADS | ROUTED),
    "apertus": ("apertus", {}),
    "gpt_neox": ("gpt_neox", {}),
    "gpt2": ("gpt2", TIED | GPT2),
    "opt": ("opt", TIED | {"ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2}),
    "deepseek_v2": ("deepseek_v2", LATENT | ROUTED),
    "deepseek_v3": ("deepseek_v3", LATENT | ROUTED | {"n_group": 1, "topk_group": 1}),
    "exaone4": ("exaone4", ALTERNATING),
    "starcoder2": ("starcoder2", LOCAL),
    "cohere": ("cohere", TIED | {"logit_scale": 0.25}),
    "cohere2": ("cohere2", ALTERNATING | TIED | {"logit_scale": 0.25}),
    "gpt_oss": ("gpt_oss", ALTERNATING | HEADS | LOCAL_EXPERTS),
    "llama4": ("llama4_text", HEADS | {"num_local_experts": 4, "intermediate_size_mlp": 48,
               "num_hidden_layers": 4, "attention_chunk_size": WINDOW,
               "interleave_moe_layer_step": 2}),
    "granite": ("granite", TIED | GRANITE),
    "granitemoe": ("granitemoe", GRANITE | LOCAL_EXPERTS),
    "nemotron": ("nemotron", {}),
    "falcon": ("falcon", TIED | {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "bloom": ("bloom", TIED | {"n_layer": 2, "n_head": 4}),
}  # fmt: skip
"""Family -> model_type and keys beside `SIZES`: layers that mix tokens by attention only."""

STATE: dict[str, tuple[str, Keys]] = {
    "lfm2": ("lfm2", TIED | {"layer_types": ["conv", "full_attention"],
                             "block_auto_adjust_ff_dim": False}),
    "granitemoehybrid": ("granitemoehybrid", GRANITE | LOCAL_EXPERTS | MAMBA | {
        "layer_types": ["mamba", "attention"], "shared_intermediate_size": 24}),
    "nemotron_h": ("nemotron_h", HEADS | {
        "layers_block_type": ["mamba", "attention", "moe", "mlp"], "n_routed_experts": 4,
        "mamba_num_heads": 4, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1,
        "chunk_size": 8, "moe_intermediate_size": 16, "moe_shared_expert_intermediate_size": 16}),
    "falcon_h1": ("falcon_h1", MAMBA | {"mamba_d_ssm": 64}),
    "qwen3_next": ("qwen3_next", DELTA | EXPERTS | {"shared_expert_intermediate_size": 16}),
    "qwen3_5": ("qwen3_5_text", DELTA),
    "jamba": ("jamba", {"num_hidden_layers": 2, "attn_layer_period": 2, "attn_layer_offset": 1,
                        "num_experts": 2, "mamba_d_state": 8, "mamba_dt_rank": 4,
                        "use_mamba_kernels": False}),
    "bamba": ("bamba", MAMBA | {"attn_layer_indices": [1]}),
    "mamba2": ("mamba2", {"num_heads": 8, "head_dim": 8, "state_size": 8, "n_groups": 1,
                          "chunk_size": 8}),
    "recurrent_gemma": ("recurrent_gemma", TIED | {
        "num_hidden_layers": 3, "attention_window_size": WINDOW, "logits_soft_cap": 3.0}),
}  # fmt: skip
"""As `ATTENTION`: some layers convolve over tokens, or carry a state from token to token."""

VISION: Keys = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                "num_attention_heads": 2, "image_size": 28, "patch_size": 14}  # fmt: skip
WRAPPERS: dict[str, tuple[str, Keys]] = {
    "gemma3_wrapper": ("gemma3", {
        "text_config": ("gemma3", {}), "vision_config": VISION, "mm_tokens_per_image": 4}),
    "mistral3_wrapper": ("mistral3", {
        "text_config": ("mistral", {}), "vision_config": VISION | {"model_type": "pixtral"},
        "tie_word_embeddings": False, "spatial_merge_size": 1}),
    "ministral3_wrapper": ("mistral3", {
        "text_config": ("ministral3", {}), "vision_config": VISION | {"model_type": "pixtral"},
        "tie_word_embeddings": False, "spatial_merge_size": 1}),
}  # fmt: skip
"""Multimodal models around a text decoder of a family; its `text_config` names the family."""

FAMILIES = (*ATTENTION, *STATE)
"""Every causal language model."""

MOE = ("qwen2_moe", "qwen3_moe", "mixtral", "olmoe", "glm4_moe", "deepseek_v2", "deepseek_v3",
       "gpt_oss", "llama4", "granitemoe", "granitemoehybrid", "nemotron_h", "qwen3_next",
       "jamba")  # fmt: skip
"""Families with experts."""

ONE_OF_EACH_KIND = (
    "llama", "qwen3", "mistral_window", "gemma2", "gemma3", "gpt_oss", "gpt2", "phi3", "qwen3_moe",
    "granite", "lfm2",
)  # fmt: skip
"""For default runs of long tests: plain, wide heads, windows, caps, sinks, Conv1D, fused
projections, experts, scales and state."""


def published(name: str, **changes: Any) -> Keys:
    """Return the content of a family's config.json, as a model option has it under `config`."""
    if name in WRAPPERS:
        kind, keys = WRAPPERS[name]
        text = published(keys["text_config"][0], **changes)
        return {"model_type": kind, **keys, "text_config": text}
    kind, keys = (ATTENTION | STATE)[name]
    return {"model_type": kind} | SIZES | keys | changes


def config_of(name: str, **changes: Any) -> PreTrainedConfig:
    """Return the configuration of a family.

    Args:
        name: of `FAMILIES` or `WRAPPERS`.
        changes: keys of its config.json (of the text decoder in a wrapper).
    """
    keys = published(name, **changes)
    kind = keys.pop("model_type")
    ids = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    return AutoConfig.for_model(kind, **ids, **keys)


def build(
    name: str, *, seed: int = 0, attention: str | None = "eager", **changes: Any
) -> PreTrainedModel:
    """Return the model of a family in float32 with random weights, in evaluation mode.

    Scales, gates and other vectors are random as well, so that none has no effect.
    """
    auto = AutoModelForImageTextToText if name in WRAPPERS else AutoModelForCausalLM
    with seeded(seed):
        model = auto.from_config(
            config_of(name, **changes), dtype=torch.float32, attn_implementation=attention
        )
        for weight in model.parameters():
            if weight.dim() == 1:
                nn.init.normal_(weight, mean=1.0 if bool((weight == 1).all()) else 0.0, std=0.2)
    return model.eval()  # type: ignore[no-any-return]


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer of tunes with 300 tokens and a chat template."""
    return train_tokenizer(map(make_tune, range(30)), 300, TEMPLATE)


def write(folder: Path, name: str, *, seed: int = 0, **changes: Any) -> Path:
    """Write the model of a family and its tokenizer to a folder, and return that."""
    model = build(name, seed=seed, **changes)
    model.config.dtype = torch.float32
    ids = {"bos_token_id", "eos_token_id", "pad_token_id"}
    for kind in ids:
        setattr(model.config.get_text_config(), kind, getattr(tokenizer(), kind))
        setattr(model.generation_config, kind, getattr(tokenizer(), kind))
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder
