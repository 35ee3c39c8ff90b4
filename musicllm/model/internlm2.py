"""InternLM2 and InternLM2.5 as Llama: their configuration, and their weights in both directions.

Both compute what Llama computes, so transformers' Llama class runs them and none of the code that
comes with them. Names differ, and queries, keys and values are one matrix `wqkv`: for every
key-value head the rows of its query heads, then those of its key, then those of its value.
Splitting and stacking move rows and change none of their bits.

Sources: InternLM2, arXiv 2403.17297, section 2.2; the published configuration and model classes
(configuration_internlm2.py and modeling_internlm2.py of internlm/internlm2-chat-7b).

Axes: K key-value heads, G query heads for each of them, H features of a head, D width.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from musicllm.errors import InputError, NotAvailableError
from musicllm.model.weights import WeightFiles

MODEL_TYPE = "internlm2"

DEFAULTS: Mapping[str, Any] = {
    "vocab_size": 103168,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
"""What a key means that config.json does not have, by the published configuration class."""

ROPE_TYPES = (None, "dynamic", "linear")

ONLY_INTERNLM2 = ("model_type", "architectures", "auto_map", "bias", "rope_theta", "rope_scaling",
                  "attn_implementation")  # fmt: skip
"""Keys of config.json that Llama's configuration has under another name or not at all."""

NAMES = {
    "embed_tokens": "tok_embeddings",
    "lm_head": "output",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""Module of Llama -> that of InternLM2, within a layer or beside the layers."""

STACKED = "attention.wqkv"
SPLIT = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")

_LEAF = re.compile(r"(?P<place>model\.(?:layers\.\d+\.)?)?(?P<module>.+)\.(?P<leaf>weight|bias)")


def as_llama(published: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of Llama's config.json for that of InternLM2's.

    Raises:
        NotAvailableError: the model rotates positions in a way that Llama does not.
    """
    scaling = published.get("rope_scaling") or {}
    kind = scaling.get("type", scaling.get("rope_type"))
    version = published.get("rope_pos_id_version", "default")
    if kind not in ROPE_TYPES or version != "default":
        key, value = ("rope_scaling", scaling) if version == "default" else (
            "rope_pos_id_version", version)  # fmt: skip
        raise NotAvailableError(
            f"InternLM2's config.json says {key}={value}, which is not supported here; supported "
            f"are no scaling, dynamic and linear"
        )
    rope = {"rope_type": kind or "default", "rope_theta": float(published.get("rope_theta", 1e4))}
    if kind:
        rope["factor"] = float(scaling["factor"])
    same = {key: value for key, value in published.items() if key not in ONLY_INTERNLM2}
    return {
        **DEFAULTS,
        **same,
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": published.get("bias", True),
        "mlp_bias": False,
        "rope_parameters": rope,
    }


class Heads(NamedTuple):
    """The heads that are stacked in `wqkv`.

    Attributes:
        num_groups: K, key-value heads.
        num_queries: G, query heads for each of them.
        head_dim: H.
    """

    num_groups: int
    num_queries: int
    head_dim: int

    @classmethod
    def of(cls, published: Mapping[str, Any]) -> Heads:
        """Return the heads of a model by its config.json."""
        width = published.get("hidden_size", DEFAULTS["hidden_size"])
        queries = published.get("num_attention_heads", DEFAULTS["num_attention_heads"])
        groups = published.get("num_key_value_heads") or queries
        return cls(groups, queries // groups, width // queries)

    @property
    def num_rows(self) -> int:
        """Rows of `wqkv`: K x (G + 2) x H."""
        return self.num_groups * (self.num_queries + 2) * self.head_dim

    def split(self, stacked: Tensor, part: str) -> Tensor:
        """Return the rows of queries, keys or values.

        Args:
            stacked: weight [K x (G + 2) x H, D], or bias without D.
            part: of `SPLIT`.
        """
        groups = stacked.view(self.num_groups, self.num_queries + 2, self.head_dim, -1)
        begin, end = self._within_group(part)
        rows = groups[:, begin:end].clone(memory_format=torch.contiguous_format)
        return rows.view(-1, *stacked.shape[1:])

    def stack(self, parts: Mapping[str, Tensor]) -> Tensor:
        """Return `wqkv` of queries, keys and values; the reverse of `split`."""
        shape = (self.num_groups, -1, self.head_dim, *parts[SPLIT[0]].shape[1:])
        groups = torch.cat([parts[part].reshape(shape) for part in SPLIT], dim=1)
        return groups.view(self.num_rows, *shape[3:])

    def num_rows_of(self, part: str) -> int:
        """Return the rows of queries, keys or values."""
        begin, end = self._within_group(part)
        return self.num_groups * (end - begin) * self.head_dim

    def _within_group(self, part: str) -> tuple[int, int]:
        queries = self.num_queries
        return {
            SPLIT[0]: (0, queries),
            SPLIT[1]: (queries, queries + 1),
            SPLIT[2]: (queries + 1, queries + 2),
        }[part]


class Origin(NamedTuple):
    """Where a tensor of Llama comes from.

    Attributes:
        name: of InternLM2's tensor.
        part: of `SPLIT`, or None for a whole tensor.
    """

    name: str
    part: str | None = None


def origin_of(name: str) -> Origin:
    """Return where a tensor of Llama comes from; a name that neither has stays as it is."""
    match = _LEAF.fullmatch(name)
    if match is None:
        return Origin(name)
    place, module, leaf = match["place"] or "", match["module"], match["leaf"]
    if module in SPLIT:
        return Origin(f"{place}{STACKED}.{leaf}", module)
    return Origin(f"{place}{NAMES.get(module, module)}.{leaf}")


def targets_of(name: str) -> list[str]:
    """Return the tensors of Llama that a tensor of InternLM2 becomes."""
    match = _LEAF.fullmatch(name)
    if match is None:
        return [name]
    place, module, leaf = match["place"] or "", match["module"], match["leaf"]
    if module == STACKED:
        return [f"{place}{part}.{leaf}" for part in SPLIT]
    ours = {theirs: own for own, theirs in NAMES.items()}.get(module, module)
    return [f"{place}{ours}.{leaf}"]


class InternLM2Weights:
    """The weights of an InternLM2 folder under Llama's names; nothing is read before its turn.

    Attributes:
        folder: of the files.
        shapes: of all tensors by Llama's name, in the order of the files.
    """

    def __init__(self, files: WeightFiles, published: Mapping[str, Any]) -> None:
        """Name the tensors of the files.

        Args:
            files: InternLM2's.
            published: content of its config.json.

        Raises:
            InputError: a stacked matrix has another number of rows than the configuration says.
        """
        self.folder = files.folder
        self.shapes: dict[str, list[int]] = {}
        self._files = files
        self._heads = Heads.of(published)
        for name, shape in files.shapes.items():
            for target in targets_of(name):
                part = origin_of(target).part
                if part is not None and shape[0] != self._heads.num_rows:
                    raise InputError(
                        f"the weights of {files.folder} do not fit its config.json: {name} has "
                        f"{shape[0]} rows instead of {self._heads.num_rows}"
                    )
                rows = shape[0] if part is None else self._heads.num_rows_of(part)
                self.shapes[target] = [rows, *shape[1:]] if shape else []

    def read(self, name: str) -> Tensor:
        """Return a tensor of Llama, with its stored dtype; a copy only if it is part of a stack."""
        origin = origin_of(name)
        tensor = self._files.read(origin.name)
        return tensor if origin.part is None else self._heads.split(tensor, origin.part)

    def dtype(self, name: str) -> torch.dtype:
        """Return the stored dtype of a tensor."""
        return self._files.dtype(origin_of(name).name)


class Restacker:
    """Turns tensors of Llama back into InternLM2's; parts of a stack wait for each other."""

    def __init__(self, published: Mapping[str, Any], write: Callable[[str, Tensor], None]) -> None:
        """Pass tensors on.

        Args:
            published: content of InternLM2's config.json.
            write: receives name and tensor.
        """
        self._heads = Heads.of(published)
        self._write = write
        self._waiting: dict[str, dict[str, Tensor]] = {}

    def add(self, name: str, tensor: Tensor) -> None:
        """Add a tensor under Llama's name."""
        origin = origin_of(name)
        if origin.part is None:
            self._write(origin.name, tensor)
            return
        parts = self._waiting.setdefault(origin.name, {})
        parts[origin.part] = tensor
        if len(parts) == len(SPLIT):
            self._write(origin.name, self._heads.stack(self._waiting.pop(origin.name)))

    def close(self) -> None:
        """Make sure that nothing waits."""
        assert not self._waiting, f"parts are missing of {', '.join(self._waiting)}"
