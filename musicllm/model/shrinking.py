"""A small configuration of the same class and kinds of layers as that of a large model.

Widths, heads, experts, vocabulary, windows and context shrink; layers are cut after the first of
every kind. Everything that says which function a layer computes stays: activations, norms, biases,
multipliers, kinds of positions, patterns of layers. Dropouts become 0, so that two passes can be
compared. Nothing here runs a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from musicllm.model.anatomy import inspect

WIDTH, HEADS, HEAD_DIM, INNER, EXPERTS, RANK = 64, 4, 16, 96, 8, 16
VOCAB_SIZE, WINDOW, POSITIONS, SHORT_CONTEXT = 128, 8, 64, 16
TOP_K = 2
EXPERTS_KEY, GROUPS_KEY = r"(num|n|moe_num)_(local_|routed_)?experts", r"(n|num_expert)_group"
SPECIAL_IDS = 4
"""Ids below this are special tokens of the small model."""

Keys = dict[Any, Any]


class Sizes:
    """How the sizes of one configuration shrink, where they depend on each other.

    Attributes:
        width: of the residual stream, in the large model.
        heads: of queries, in the large model.
        head_dim: in the large and in the small model.
    """

    def __init__(self, keys: Mapping[str, Any]) -> None:
        """Read what other sizes depend on."""
        self.width = _first(keys, "hidden_size", "n_embd", "d_model", "dim")
        self.heads = _first(keys, "num_attention_heads", "n_head", "n_heads", "num_heads")
        whole = self.width // self.heads if self.width and self.heads else None
        rotated = keys.get("qk_rope_head_dim")
        head_dim = keys.get("head_dim") or whole or HEAD_DIM
        is_split = self.heads is not None and head_dim * self.heads == self.width
        self.head_dim = (head_dim, HEAD_DIM if is_split else 2 * HEAD_DIM)
        if rotated and head_dim == rotated:
            self.head_dim = (head_dim, HEAD_DIM // 2)
        elif rotated:
            self.head_dim = (head_dim, HEAD_DIM + HEAD_DIM // 2)
        self.linear_heads = (keys.get("linear_num_key_heads"), keys.get("linear_num_value_heads"))
        self.expand = keys.get("mamba_expand") or keys.get("expand") or 2
        self.is_recurrent = "state_size" in keys and "num_attention_heads" not in keys

    def by_head(self, old: int) -> int:
        """Return a size that is a part or a multiple of a head."""
        large, small = self.head_dim
        return max(2, round(old * small / large / 2) * 2)

    def key_heads(self, old: int) -> int:
        """Return heads of keys and values: as many as queries, one, or half as many."""
        return HEADS if old == self.heads else min(old, HEADS // 2)

    def state_heads(self, _old: int) -> int:
        """Return heads of a state space, which cover the expanded width."""
        return int(self.expand * WIDTH) // HEAD_DIM

    def linear_value_heads(self, old: int) -> int:
        """Return value heads of linear attention: as many as keys, or twice as many."""
        return HEADS // 2 if old == self.linear_heads[0] else HEADS


def rules(sizes: Sizes) -> list[tuple[str, Callable[[int], int]]]:
    """Return (pattern of a key's whole name, from the large to the small integer)."""
    heads = sizes.state_heads if sizes.is_recurrent else lambda _: HEADS
    return [
        (r"hidden_size|n_embd|d_model|dim|lru_width", lambda _: WIDTH),
        (r"num_attention_heads|n_heads?|num_heads|linear_num_heads", heads),
        (r"(num_|n_)?(global_)?(key_value|kv)_heads|num_key_value_heads.*", sizes.key_heads),
        (r"num_global_key_value_heads", sizes.key_heads),
        (r"linear_num_key_heads", lambda _: HEADS // 2),
        (r"linear_num_value_heads", sizes.linear_value_heads),
        (r"linear_(key_|value_)?head_dim|mamba_(d_head|head_dim)", lambda _: HEAD_DIM),
        (r"qk_nope_head_dim|v_head_dim", lambda _: HEAD_DIM),
        (r"qk_rope_head_dim", lambda _: HEAD_DIM // 2),
        (r"qk_head_dim", lambda _: HEAD_DIM + HEAD_DIM // 2),
        (r"head_dim|kv_channels|d_kv|\w+_head_dim|rotary_dim",
         (lambda _: HEAD_DIM) if sizes.is_recurrent else sizes.by_head),
        (r"mamba_(n|num)_heads|n_mamba_heads|num_mamba_heads", sizes.state_heads),
        (r"mamba_d_ssm", lambda old: HEAD_DIM * sizes.state_heads(old)),
        (r"(mamba_)?(n_?groups)", lambda old: min(old, 2)),
        (r"mamba_d_state|(ssm_)?state_size|mamba_dt_rank|time_step_rank", lambda _: HEAD_DIM // 2),
        (r"(mamba_)?chunk_size|floor_scale", lambda _: WINDOW),
        (r"\w*intermediate_size\w*|n_inner|ffn_dim|d_ff|d_inner|\w*ffn_hidden_size",
         lambda old: min(old, INNER)),
        (EXPERTS_KEY, lambda old: min(old, EXPERTS)),
        (r"num_experts_per_\w+|top_k_experts|moe_(topk|top_k|k)|num_selected_experts",
         lambda old: min(old, TOP_K)),
        (GROUPS_KEY, lambda old: min(old, 2)),
        (r"topk_group", lambda _: 1),
        (r"\w+_rank|hidden_size_per_layer_input|dim_model_base", lambda old: min(old, RANK)),
        (r"vocab_size\w*", lambda _: VOCAB_SIZE),
        (r"\w+_token_(id|index)", lambda old: min(old, SPECIAL_IDS - 1)),
        (r"(?!max_|use_)\w*window(_size)?|attention_chunk_size|local_attention\w*",
         lambda old: min(old, WINDOW) if old > 0 else old),
        (r"num_nextn_predict_layers|num_mtp_layers", lambda _: 0),
    ]  # fmt: skip


def shrunk(
    model: PreTrainedModel, *, max_length: int, widths: bool = True, all_experts: bool = False
) -> PreTrainedConfig:
    """Return a small configuration of the class of a model.

    Args:
        model: the text decoder on any device, such as meta; it is not changed.
        max_length: longest document of the run, in tokens; positions that depend on whether
            a text is longer than the original context are reached only if this is.
        widths: shrink widths and heads, too; otherwise only layers, experts, vocabulary, windows.
        all_experts: leave as many experts as a token passes, so that rounding does not choose
            others.
    """
    config = model.config
    keys = config.to_dict()
    for name in ("quantization_config", "id2label", "label2id", "dtype"):
        keys.pop(name, None)
    num_layers = len(layers(model))
    kept = num_kept(model)
    keys = _cut(keys, num_layers, kept)
    if widths:
        keys = _narrowed(keys, rules(Sizes(keys)), Sizes(keys))
    else:
        only = ("experts", "vocab", "token", "window", "chunk", "nextn")
        some = [rule for rule in rules(Sizes(keys)) if any(word in rule[0] for word in only)]
        keys = _narrowed(keys, some, None)
    _shorten_context(keys, Sizes(config.to_dict()), max_length, narrow=widths)
    if all_experts:
        keys = _narrowed(keys, [(EXPERTS_KEY, lambda _: TOP_K), (GROUPS_KEY, lambda _: 1)], None)
    small = type(config).from_dict(keys)
    small.name_or_path = config.name_or_path
    return small


def layers(model: PreTrainedModel) -> list[nn.Module]:
    """Return the decoder layers, from the bottom to the top."""
    return [model.get_submodule(layer.path) for layer in inspect(model).layers]


def num_kept(model: PreTrainedModel) -> int:
    """Return how many layers from the bottom hold every kind of layer; two at least."""
    kinds = [repr(kind) for kind in kinds_of(layers(model))]
    return min(len(kinds), max(2, *(kinds.index(kind) + 1 for kind in kinds)))


def kinds_of(stack: Sequence[nn.Module]) -> list[dict[tuple[str, str], object]]:
    """Return what distinguishes layers: their modules with classes, settings and shapes.

    A number that counts up with the layers is the layer's own and distinguishes none.
    """
    kinds = [dict(_settings(layer)) for layer in stack]
    for key in {key for kind in kinds for key in kind}:
        values = {index: kind[key] for index, kind in enumerate(kinds) if key in kind}
        if all(type(value) is int for value in values.values()):
            offsets = {value - index for index, value in values.items()}  # type: ignore[operator]
            if len(offsets) == 1 and (len(values) > 1 or "idx" in key[1]):
                for kind in kinds:
                    kind.pop(key, None)
    return kinds


def compare(large: PreTrainedModel, small: PreTrainedModel) -> None:
    """Make sure that the layers of a small model are those at the bottom of the large one.

    Raises:
        ValueError: they have other classes or settings.
    """
    for index, (theirs, ours) in enumerate(
        zip(kinds_of(layers(large)), kinds_of(layers(small)), strict=False)
    ):
        for (path, name), value in ours.items():
            if (path, name) not in theirs:
                raise ValueError(f"layer {index} has {path}.{name} in a small size only")
            other = theirs[path, name]
            is_word = any(v is None or isinstance(v, bool | str) for v in (value, other))
            if is_word and value != other:
                raise ValueError(f"layer {index}: {path}.{name} is {value} in a small size")


def _settings(layer: nn.Module) -> Iterator[tuple[tuple[str, str], object]]:
    for path, module in layer.named_modules():
        yield (path, "class"), type(module).__qualname__
        for name, value in vars(module).items():
            is_plain = value is None or isinstance(value, bool | int | float | str)
            if is_plain and name not in ("training", "_is_hf_initialized"):
                yield (path, name), value
        for name, weight in module.named_parameters(recurse=False):
            yield (path, name), tuple(weight.shape)


def _cut(keys: Keys, num_layers: int, kept: int) -> Keys:
    """Cut the layers, and what is listed by layer."""
    result: Keys = {}
    for name, value in keys.items():
        if str(name).isdigit():  # settings of one layer
            result |= {name: value} if int(name) < kept else {}
            continue
        is_count = re.fullmatch(r"num_(hidden_)?layers|n_layers?", name)
        if is_count and value == num_layers:
            result[name] = kept
        elif name == "num_kv_shared_layers" and value:
            result[name] = max(0, kept - (num_layers - value))
        elif isinstance(value, dict):
            result[name] = _cut(value, num_layers, kept)
        elif isinstance(value, list | tuple) and len(value) == num_layers > 1:
            result[name] = value[:kept]
        elif isinstance(value, str) and "pattern" in name and len(value) == num_layers > 1:
            result[name] = value[:kept]  # a letter for each layer
        elif isinstance(value, list) and re.search(r"_layers$|ind(ice|exe)s$|idxs$", name):
            result[name] = [v for v in value if not isinstance(v, int) or v < kept]
        else:
            result[name] = value
    return result


def _narrowed(
    keys: Keys, by_name: list[tuple[str, Callable[[int], int]]], sizes: Sizes | None
) -> Keys:
    """Shrink the integers of a configuration by name, and those that are multiples of the width."""
    result: Keys = {}
    for name, value in keys.items():
        text, is_number = str(name), isinstance(value, float | int)
        small = next((rule for words, rule in by_name if re.fullmatch(words, text)), None)
        if isinstance(value, dict):
            result[name] = _narrowed(value, by_name, sizes)
        elif is_number and re.search(r"drop|jitter|noise", text):
            result[name] = type(value)(0)
        elif (
            re.search(r"soft_?cap|logit_cap", str(name))
            and isinstance(value, float | int)
            and value
        ):
            result[name] = min(float(value), 1.0)
        elif small is not None and type(value) is int:
            result[name] = small(value)
        elif small is not None and isinstance(value, list | tuple):
            result[name] = [small(v) if type(v) is int else v for v in value]
        elif sizes is not None and type(value) is int and _is_multiple(text, value, sizes.width):
            result[name] = value // (sizes.width or 1) * WIDTH
        else:
            result[name] = value
    return result


def _is_multiple(name: str, value: int, width: int | None) -> bool:
    is_size = re.search(r"(size|dim|width)(_out|_in)?$", name) is not None
    return is_size and width is not None and value >= width and value % width == 0


def _shorten_context(keys: Keys, sizes: Sizes, max_length: int, *, narrow: bool) -> None:
    """Shrink numbers of positions, in the configuration and its rotary embeddings, in place.

    The ratio of the context to the original one stays.
    """
    places = [keys, *_rotary(keys)]
    originals = [p.get("original_max_position_embeddings") for p in places]
    original = next((number for number in originals if number), None)
    short = POSITIONS
    if original and max_length > original:
        short = SHORT_CONTEXT
    for place in places:
        for name, value in place.items():
            if type(value) is not int:
                continue
            if name == "original_max_position_embeddings":
                place[name] = short
            elif re.fullmatch(r"max_position_embeddings|n_positions|max_seq(uence)?_len(gth)?|n_ctx"
                              r"|seq_length", name):  # fmt: skip
                ratio = max(1, round(value / original)) if original else 1
                place[name] = max(POSITIONS, short * ratio)
        if narrow:
            _shorten_rotary(place, sizes)


def _rotary(keys: Keys) -> Iterator[Keys]:
    """Yield settings of rotary embeddings; some models have one set per kind of layer."""
    for name in ("rope_parameters", "rope_scaling"):
        place = keys.get(name)
        if isinstance(place, dict):
            yield place
            yield from (inner for inner in place.values() if isinstance(inner, dict))


def _shorten_rotary(place: Keys, sizes: Sizes) -> None:
    """Shrink lists by frequency to half of what is rotated in the small heads, in place."""
    large, small = sizes.head_dim
    for name in ("short_factor", "long_factor"):
        if isinstance(place.get(name), list):
            place[name] = place[name][: max(1, len(place[name]) * small // large)]
    if isinstance(place.get("mrope_section"), list):
        half = sum(place["mrope_section"]) * small // large
        shares = len(place["mrope_section"])
        place["mrope_section"] = [half // shares + (i < half % shares) for i in range(shares)]


def _first(keys: Mapping[str, Any], *names: str) -> int | None:
    return next((keys[name] for name in names if type(keys.get(name)) is int), None)
