"""What llama.cpp must know about a class of transformers: its name there, its keys and its tensors.

A family is exported only if llama.cpp computes the same function; what it has no key for is refused
here, before anything is written. The names of tensors are those of the package `gguf`, which
llama.cpp's authors keep. Sources: the GGUF specification (ggml/docs/gguf.md), and the classes of
both sides; `proof` compares what they compute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from musicllm.errors import NotAvailableError
from musicllm.model.architecture import head_dim_of

Fields = dict[str, Any]

FULL, SLIDING = "full_attention", "sliding_attention"
"""Values in `layer_types`."""

ROPE_FACTORS = "rope_freqs.weight"
"""Tensor by which llama.cpp divides the frequencies of the rotation."""


@dataclass(frozen=True)
class Family:
    """One class of transformers.

    Attributes:
        name: of the architecture in GGUF.
        activation: of the MLP, which llama.cpp does not read from a file.
        interleaves: llama.cpp rotates neighbouring features, transformers the two halves of a head,
            so the rows of the query and key projections change places.
        norm_offset: what the class adds to the weights of its norms, and llama.cpp does not.
        fields: further keys of GGUF, below the name of the architecture.
        problems: yields what llama.cpp cannot do of a configuration.
        has_rope_factors: llama.cpp reads `ROPE_FACTORS` for it.
        has_window: some layers may see a window only.
    """

    name: str
    activation: str
    interleaves: bool = False
    norm_offset: float = 0.0
    fields: Callable[[PreTrainedConfig], Fields] = lambda _: {}
    problems: Callable[[PreTrainedConfig], Iterator[str]] = lambda _: iter(())
    has_rope_factors: bool = False
    has_window: bool = False


def family_of(config: PreTrainedConfig) -> Family:
    """Return the family of a model.

    Args:
        config: of its text decoder.

    Raises:
        NotAvailableError: llama.cpp is not known to compute the same; the message says why.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise NotAvailableError(
            f"models of type {config.model_type} are not exported as GGUF; these are: {known}"
        )
    reasons = list(_problems(family, config))
    if reasons:
        raise NotAvailableError(
            f"llama.cpp cannot compute what this model of type {config.model_type} does: "
            f"{'; '.join(reasons)}; export.format=hf keeps it as it is"
        )
    return family


def fields_of(family: Family, config: PreTrainedConfig, num_rows: int) -> Fields:
    """Return the keys of a GGUF file that describe a model.

    Args:
        family: of the model.
        config: of its text decoder.
        num_rows: of the embeddings.
    """
    heads, head_dim = config.num_attention_heads, head_dim_of(config)
    own = {
        "vocab_size": num_rows,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "block_count": config.num_hidden_layers,
        "feed_forward_length": config.intermediate_size,
        "attention.head_count": heads,
        "attention.head_count_kv": getattr(config, "num_key_value_heads", None) or heads,
        "attention.key_length": head_dim,
        "attention.value_length": head_dim,
        "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps),
        "rope.dimension_count": head_dim,
        "rope.freq_base": float(_rope(config, FULL)["rope_theta"]),
        **family.fields(config),
    }
    return {f"{family.name}.{key}": value for key, value in own.items()}


def rope_factors(config: PreTrainedConfig) -> Tensor | None:
    """Return what the frequencies of the rotation are divided by, or None where that is 1.

    Returns:
        float32 [features of a head / 2].
    """
    rope = _rope(config, FULL)
    if rope["rope_type"] == "default":
        return None
    frequencies, scale = ROPE_INIT_FUNCTIONS[rope["rope_type"]](config, torch.device("cpu"))
    assert scale == 1.0, f"{rope['rope_type']} passed the checks and scales attention by {scale}"
    half = torch.arange(0, head_dim_of(config), 2, dtype=torch.float32) / head_dim_of(config)
    factors: Tensor = 1.0 / (rope["rope_theta"] ** half) / frequencies
    return factors


def rearranged(family: Family, config: PreTrainedConfig, name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as llama.cpp wants it.

    Args:
        family: of the model.
        config: of its text decoder.
        name: in the class of transformers.
        tensor: of any dtype.
    """
    if family.interleaves and ".self_attn." in name:
        heads = config.num_attention_heads
        if ".q_proj." in name:
            return _interleaved(tensor, heads)
        if ".k_proj." in name:
            return _interleaved(tensor, getattr(config, "num_key_value_heads", None) or heads)
    if family.norm_offset and name.endswith("norm.weight"):
        return tensor.float() + family.norm_offset
    return tensor


def _interleaved(tensor: Tensor, num_heads: int) -> Tensor:
    """Put feature i of the second half of every head behind feature i of the first."""
    rows, *rest = tensor.shape
    halves = tensor.reshape(num_heads, 2, rows // num_heads // 2, *rest)
    return halves.transpose(1, 2).reshape(tensor.shape)


def _rope(config: PreTrainedConfig, kind: str) -> Mapping[str, Any]:
    """Return the settings of the rotation in a kind of layer."""
    rope: Mapping[str, Any] = config.rope_parameters
    own: Mapping[str, Any] = rope.get(kind, rope)
    return own


def _problems(family: Family, config: PreTrainedConfig) -> Iterator[str]:
    """Yield what llama.cpp has no key for."""
    for key in ("hidden_act", "hidden_activation"):
        if (value := getattr(config, key, None)) not in (None, family.activation):
            yield f"{key}={value} instead of {family.activation}"
    rope = _rope(config, FULL)
    kinds = ("default", "linear", "llama3") if family.has_rope_factors else ("default",)
    if rope["rope_type"] not in kinds:
        yield f"rope_type={rope['rope_type']} instead of {' or '.join(kinds)}"
    if (part := rope.get("partial_rotary_factor", 1.0)) not in (None, 1.0):
        yield f"partial_rotary_factor={part}"
    if not family.has_window and _has_window(config):
        yield f"some layers see {config.sliding_window} tokens only"
    yield from family.problems(config)


def _has_window(config: PreTrainedConfig) -> bool:
    """Say whether a layer sees less than the whole context."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return any(kind != FULL for kind in kinds)
    return window is not None and window < config.max_position_embeddings


def _biases(config: PreTrainedConfig) -> Iterator[str]:
    """Yield biases that llama.cpp's class of Qwen has no tensors for."""
    if getattr(config, "attention_bias", False):
        yield "attention_bias=true"


def _gemma_fields(config: PreTrainedConfig) -> Fields:
    fields: Fields = {}
    if _has_window(config):
        fields["attention.sliding_window"] = config.sliding_window
        fields["attention.sliding_window_pattern"] = [k == SLIDING for k in config.layer_types]
        fields["rope.freq_base_swa"] = float(_rope(config, SLIDING)["rope_theta"])
    for key, name in (
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
    ):
        if (cap := getattr(config, key, None)) is not None:
            fields[name] = float(cap)
    return fields


def _gemma_problems(config: PreTrainedConfig) -> Iterator[str]:
    if getattr(config, "attention_bias", False):
        yield "attention_bias=true"
    if getattr(config, "use_bidirectional_attention", False):
        yield "use_bidirectional_attention=true"
    size = config.query_pre_attn_scalar
    large = config.hidden_size / config.num_attention_heads
    scale = large if config.num_hidden_layers == NUM_LAYERS_27B.get(config.model_type) else None
    if not math.isclose(size, scale or head_dim_of(config)):
        yield f"query_pre_attn_scalar={size} instead of {scale or head_dim_of(config)}"


def _gemma3_problems(config: PreTrainedConfig) -> Iterator[str]:
    yield from _gemma_problems(config)
    if getattr(config, "attn_logit_softcapping", None) is not None:
        yield "attn_logit_softcapping"
    if _rope(config, SLIDING)["rope_type"] != "default":
        yield "the rotation is scaled in layers with a window"


NUM_LAYERS_27B = {"gemma2": 46, "gemma3_text": 62}
"""Layers of the largest models, in which llama.cpp scales queries in another way."""

FAMILIES: dict[str, Family] = {
    "llama": Family("llama", "silu", interleaves=True, has_rope_factors=True),
    "mistral": Family("llama", "silu", interleaves=True, has_rope_factors=True),
    "qwen2": Family("qwen2", "silu"),
    "qwen3": Family("qwen3", "silu", problems=_biases),
    "gemma2": Family(
        "gemma2", "gelu_pytorch_tanh", norm_offset=1.0, fields=_gemma_fields,
        problems=_gemma_problems, has_window=True,
    ),
    "gemma3_text": Family(
        "gemma3", "gelu_pytorch_tanh", norm_offset=1.0, fields=_gemma_fields,
        problems=_gemma3_problems, has_window=True,
    ),
}  # fmt: skip
"""`model_type` of a text decoder -> its family."""
