"""Small InternLM2 folders, and what InternLM2 computes, written down without any model class.

The forward pass follows the published one: `wqkv` is one matrix, and its outputs, not its rows, are
taken apart.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

CONFIG: dict[str, Any] = {
    "architectures": ["InternLM2ForCausalLM"],
    "attn_implementation": "eager",
    "auto_map": {"AutoModelForCausalLM": "modeling_internlm2.InternLM2ForCausalLM"},
    "bias": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 32,
    "initializer_range": 0.02,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
    "model_type": "internlm2",
    "num_attention_heads": 8,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "pad_token_id": 2,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {"type": "dynamic", "factor": 2.0},
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "torch_dtype": "float32",
    "use_cache": True,
    "vocab_size": 64,
}
"""The keys of internlm2-chat-7b's config.json, with small numbers."""


def write(folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **keys: Any) -> Path:
    """Write config.json and two shards with random weights, every one of which has an effect."""
    config = CONFIG | {"torch_dtype": str(dtype).removeprefix("torch.")} | keys
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: (1.0 if name.endswith("norm.weight") else 0.0)
        + 0.3 * torch.randn(shape, generator=generator)
        for name, shape in shapes(config).items()
    }
    stored = {name: tensor.to(dtype) for name, tensor in weights.items()}
    half = len(stored) // 2
    shards = [dict(list(stored.items())[:half]), dict(list(stored.items())[half:])]
    files = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file(shard, folder / file, metadata={"format": "pt"})
        files |= dict.fromkeys(shard, file)
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def shapes(config: dict[str, Any]) -> dict[str, list[int]]:
    width, inner = config["hidden_size"], config["intermediate_size"]
    head_dim = width // config["num_attention_heads"]
    stacked = (config["num_attention_heads"] + 2 * config["num_key_value_heads"]) * head_dim
    layer = {
        "attention.wqkv.weight": [stacked, width],
        "attention.wo.weight": [width, width],
        "attention_norm.weight": [width],
        "ffn_norm.weight": [width],
        "feed_forward.w1.weight": [inner, width],
        "feed_forward.w2.weight": [width, inner],
        "feed_forward.w3.weight": [inner, width],
    }
    if config["bias"]:
        layer |= {"attention.wqkv.bias": [stacked], "attention.wo.bias": [width]}
    whole = {"model.tok_embeddings.weight": [config["vocab_size"], width]}
    for index in range(config["num_hidden_layers"]):
        whole |= {f"model.layers.{index}.{name}": shape for name, shape in layer.items()}
    whole |= {"model.norm.weight": [width]}
    if not config["tie_word_embeddings"]:
        whole |= {"output.weight": [config["vocab_size"], width]}
    return whole


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """Return all tensors as they are stored."""
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def logits(folder: Path, ids: Tensor) -> Tensor:
    """Return what InternLM2 computes: [T, V] for the token ids [T], in float32."""
    config = json.loads((folder / "config.json").read_text())
    weights = {name: tensor.float() for name, tensor in tensors_of(folder).items()}
    x = weights["model.tok_embeddings.weight"][ids]
    for index in range(config["num_hidden_layers"]):
        layer = {
            name.removeprefix(f"model.layers.{index}."): tensor
            for name, tensor in weights.items()
            if name.startswith(f"model.layers.{index}.")
        }
        x = x + _attention(_norm(x, layer["attention_norm.weight"], config), layer, config)
        y = _norm(x, layer["ffn_norm.weight"], config)
        gate = functional.silu(y @ layer["feed_forward.w1.weight"].T)
        x = x + (gate * (y @ layer["feed_forward.w3.weight"].T)) @ layer["feed_forward.w2.weight"].T
    tied = config["tie_word_embeddings"]
    head = weights["model.tok_embeddings.weight" if tied else "output.weight"]
    return _norm(x, weights["model.norm.weight"], config) @ head.T


def _norm(x: Tensor, weight: Tensor, config: dict[str, Any]) -> Tensor:
    return weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + config["rms_norm_eps"])


def _attention(x: Tensor, layer: dict[str, Tensor], config: dict[str, Any]) -> Tensor:
    length, groups = len(x), config["num_key_value_heads"]
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    outputs = functional.linear(x, layer["attention.wqkv.weight"], layer.get("attention.wqkv.bias"))
    outputs = outputs.view(length, groups, -1, head_dim)
    queries = outputs[:, :, :-2].flatten(1, 2)  # [T, heads, H]
    keys, values = outputs[:, :, -2], outputs[:, :, -1]  # [T, groups, H]
    queries, keys = (_rotate(heads, config) for heads in (queries, keys))
    mixed = []
    for head in range(queries.shape[1]):
        group = head // (queries.shape[1] // groups)
        scores = queries[:, head] @ keys[:, group].T / math.sqrt(head_dim)
        hidden = torch.ones(length, length, dtype=torch.bool).triu(1)
        mixed.append(scores.masked_fill(hidden, -math.inf).softmax(-1) @ values[:, group])
    joined = torch.stack(mixed, dim=1).flatten(1)
    return functional.linear(joined, layer["attention.wo.weight"], layer.get("attention.wo.bias"))


def _rotate(heads: Tensor, config: dict[str, Any]) -> Tensor:
    """Rotate [T, heads, H] by position; a text beyond the trained length stretches the base."""
    length, _, dim = heads.shape
    base, most = float(config["rope_theta"]), config["max_position_embeddings"]
    scaling = config["rope_scaling"] or {"type": "none", "factor": 1.0}
    factor = scaling["factor"]
    if scaling["type"] == "dynamic" and length > most:
        base *= (factor * length / most - (factor - 1)) ** (dim / (dim - 2))
    positions = torch.arange(length).float() / (factor if scaling["type"] == "linear" else 1.0)
    angles = positions[:, None] / base ** (torch.arange(0, dim, 2).float() / dim)
    cos, sin = (torch.cat([part, part], -1)[:, None] for part in (angles.cos(), angles.sin()))
    left, right = heads[..., : dim // 2], heads[..., dim // 2 :]
    return heads * cos + torch.cat([-right, left], -1) * sin
