"""Attention kernels: causal attention within each document of a packed row.

`varlen_sdpa` calls torch's scaled dot product attention once per document, `varlen` is torch's own
variable-length FlashAttention, `flex` compiles FlexAttention with a block mask, and
`flash_attention_2` calls the package flash-attn. All of them take sliding windows; what else they
lack, and which of them a device can run, stands in `choosing`.

Axes: H heads, Hkv heads of keys and values (divides H), T tokens, D head dimension of queries and
keys, Dv of values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from musicllm.model.attention.patterns import causal


class Variant(NamedTuple):
    """What a layer's attention has beside scores, the causal order and a softmax.

    Attributes:
        scale: of the scores; None for 1 / sqrt(D).
        dropout: probability that an attention weight is zeroed.
        window: tokens that a token sees at most, with itself; None for all before it.
        softcap: c of the scores c tanh(score / c) (arXiv 2408.00118).
        sinks: [H], a score per head that takes its share of the softmax, and has no value
            (arXiv 2508.10925).
    """

    scale: float | None = None
    dropout: float = 0.0
    window: int | None = None
    softcap: float | None = None
    sinks: Tensor | None = None


PLAIN = Variant()

Kernel = Callable[..., Tensor]
"""(query, key, value, cu_seq_lens, longest, variant=) -> [1, T, H, Dv]: see `varlen_sdpa`."""


@torch.compiler.disable  # type: ignore[untyped-decorator]
def varlen_sdpa(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,  # noqa: ARG001
    *,
    variant: Variant = PLAIN,
) -> Tensor:
    """Compute attention with one call of torch's scaled dot product attention per document.

    Time grows with the sum over documents of length squared, plus one kernel call per document;
    memory with T, and with H x length squared of the longest document where scores have a soft cap
    or sinks. For 17 documents of 120 tokens on a CPU this takes a seventh of the time of
    attention over the whole row. Deterministic where torch's function is, as on
    the CPU. A compiled model has a graph break here, since lengths differ from batch to batch.

    Args:
        query: [1, H, T, D].
        key: [1, Hkv, T, D].
        value: [1, Hkv, T, Dv].
        cu_seq_lens: int32 [documents + 1].
        longest: tokens of the longest document; unused here.
        variant: of the attention.

    Returns:
        [1, T, H, Dv].
    """
    lengths = _lengths(cu_seq_lens)
    assert sum(lengths) == query.shape[2], f"documents end at {sum(lengths)}, not {query.shape[2]}"
    # split, since the gradient of every slice would have the length of the row
    documents = zip(
        *(tensor.split_with_sizes(lengths, dim=2) for tensor in (query, key, value)), strict=True
    )
    outputs = [of_document(*document, variant=variant).transpose(1, 2) for document in documents]
    return torch.cat(outputs, dim=1)


def of_document(query: Tensor, key: Tensor, value: Tensor, *, variant: Variant) -> Tensor:
    """Compute the attention of one document.

    Args:
        query: [1, H, T, D].
        key: [1, Hkv, T, D].
        value: [1, Hkv, T, Dv].
        variant: of the attention.

    Returns:
        [1, H, T, Dv].
    """
    length = query.shape[2]
    beyond = variant.window is not None and length > variant.window
    if variant.softcap is not None or variant.sinks is not None:
        visible = causal(length, variant.window, query.device)
        return dense(query, key, value, visible, variant)
    if beyond:  # with a mask, torch has no fast kernel for groups
        key, value = _repeated(query, key, value)
    return scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=causal(length, variant.window, query.device) if beyond else None,
        dropout_p=variant.dropout,
        is_causal=not beyond,
        scale=variant.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def dense(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    visible: Tensor,
    variant: Variant,
) -> Tensor:
    """Compute attention with all scores in memory, the softmax in float32.

    Args:
        query: [B, H, queries, D].
        key: [B, Hkv, keys, D].
        value: [B, Hkv, keys, Dv].
        visible: whether a query sees a key; bool, which can be broadcast to [B, H, queries, keys].
        variant: of the attention; its window is part of `visible`.

    Returns:
        [B, H, queries, Dv].
    """
    scale, dropout, _, softcap, sinks = variant
    key, value = _repeated(query, key, value)
    scores = (query @ key.transpose(2, 3)).float() * (scale or query.shape[-1] ** -0.5)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    if sinks is None:
        weights = scores.softmax(-1)
    else:
        sink = sinks.float().view(1, -1, 1, 1).expand(*scores.shape[:3], 1)
        weights = torch.cat([scores, sink], dim=-1).softmax(-1)[..., :-1]
    weights = torch.dropout(weights.to(value.dtype), dropout, train=dropout > 0)
    return weights @ value


def varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,
    *,
    variant: Variant = PLAIN,
) -> Tensor:
    """Compute attention with `torch.nn.attention.varlen` (arXiv 2307.08691); as `varlen_sdpa`.

    Half precision on a GPU only. Memory grows with T. The gradient of torch's function leaves out
    the normalisation, so that it cannot have sinks.
    """
    assert variant.dropout == 0, "torch's variable-length attention has no dropout"
    assert variant.softcap is None, "torch's variable-length attention has no soft cap"
    assert variant.sinks is None, "torch's variable-length attention has no sinks"
    attend, supports_groups = _varlen_attn()
    grouped = query.shape[1] != key.shape[1]
    if grouped and not supports_groups:
        key, value = _repeated(query, key, value)
    options: dict[str, Any] = {"enable_gqa": grouped} if supports_groups else {}
    out: Tensor = attend(
        *_flat_rows(query, key, value),
        *(cu_seq_lens, cu_seq_lens, longest, longest),
        scale=variant.scale,
        window_size=_window(variant.window),
        **options,
    )
    return out[None, ..., : value.shape[-1]]


def flash_attention_2(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,
    *,
    variant: Variant = PLAIN,
) -> Tensor:
    """Compute attention with the package flash-attn (arXiv 2307.08691); as `varlen_sdpa`.

    Half precision on a GPU only. Memory grows with T.
    """
    scale, dropout, window, softcap, sinks = variant
    assert sinks is None, "FlashAttention-2 has no sinks"
    assert not (dropout and softcap), "FlashAttention-2 has no dropout of scores with a soft cap"
    out: Tensor = _flash_attn()(
        *_flat_rows(query, key, value),
        *(cu_seq_lens, cu_seq_lens, longest, longest),
        dropout_p=dropout,
        softmax_scale=scale or query.shape[-1] ** -0.5,
        causal=True,
        window_size=_window(window),
        **({} if softcap is None else {"softcap": softcap}),
    )
    return out[None, ..., : value.shape[-1]]


def flex(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_lens: Tensor,
    longest: int,  # noqa: ARG001
    *,
    variant: Variant = PLAIN,
) -> Tensor:
    """Compute attention with FlexAttention (arXiv 2412.05496); as `varlen_sdpa`.

    Blocks of 128 x 128 without a pair of one document and window are skipped. The block mask is
    computed once per batch and window and shared by all layers, which pass the same `cu_seq_lens`.
    Torch has no gradient for it on a CPU.
    """
    scale, dropout, window, softcap, sinks = variant
    assert dropout == 0, "FlexAttention has no dropout"
    options: dict[str, Any] = {}
    if softcap is not None:
        options["score_mod"] = _capped(softcap)
    if sinks is not None:
        from torch.nn.attention.flex_attention import AuxRequest

        options["return_aux"] = AuxRequest(lse=True)
    out = _flex_attention()(
        query,
        key,
        value,
        block_mask=_block_mask(cu_seq_lens, query.shape[2], window),
        scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
        **options,
    )
    if sinks is not None:
        out, aux = out
        # exp(lse) of exp(lse) + exp(sink) is left to the tokens
        share = torch.sigmoid(aux.lse - sinks.float()[None, :, None])
        out = out * share[..., None].to(out.dtype)
    result: Tensor = out.transpose(1, 2)
    return result


KERNELS: dict[str, Kernel] = {
    "varlen_sdpa": varlen_sdpa,
    "varlen": varlen,
    "flex": flex,
    "flash_attention_2": flash_attention_2,
}
"""Name in `hardware.attention` -> kernel."""


def _repeated(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return keys and values with one head for each of the queries."""
    groups = query.shape[1] // key.shape[1]
    if groups == 1:
        return key, value
    return key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)


def _flat_rows(query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
    """Return [T, H, D] of each for FlashAttention, which takes values of the width of keys only."""
    if value.shape[-1] != query.shape[-1]:
        value = pad(value, [0, query.shape[-1] - value.shape[-1]])
    return [tensor[0].transpose(0, 1) for tensor in (query, key, value)]


def _window(window: int | None) -> tuple[int, int]:
    """Return FlashAttention's form: tokens before (-1: all) and after the token itself."""
    return (-1, 0) if window is None else (window - 1, 0)


@lru_cache(maxsize=4)
def _lengths(cu_seq_lens: Tensor) -> list[int]:
    """Return the document lengths; cached by tensor, since layers share it."""
    lengths: list[int] = cu_seq_lens.diff().tolist()
    return lengths


@lru_cache(maxsize=4)
def _block_mask(cu_seq_lens: Tensor, num_tokens: int, window: int | None) -> Any:
    """Return the block mask of a batch; cached by tensor, since layers share it."""
    from torch.nn.attention.flex_attention import create_block_mask

    device = cu_seq_lens.device
    numbers = torch.arange(len(cu_seq_lens) - 1, device=device)
    document = numbers.repeat_interleave(cu_seq_lens.diff(), output_size=num_tokens)

    def same_document_and_before(_batch: Any, _head: Any, query: Any, key: Any) -> Any:
        visible = (query >= key) & (document[query] == document[key])
        return visible if window is None else visible & (query - key < window)

    return create_block_mask(
        same_document_and_before, None, None, num_tokens, num_tokens, device=str(device)
    )


@cache
def _capped(softcap: float) -> Any:
    """Return the soft cap of scores; cached, since a new function would be compiled again."""

    def cap(score: Any, _batch: Any, _head: Any, _query: Any, _key: Any) -> Any:
        return torch.tanh(score / softcap) * softcap

    return cap


@cache
def _flex_attention() -> Any:
    """Return the compiled kernel; dynamic, since the number of tokens differs between batches."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True)


@cache
def _varlen_attn() -> tuple[Any, bool]:
    """Return torch's function, and whether it supports grouped queries (not in torch 2.11)."""
    from torch.nn.attention.varlen import varlen_attn

    return varlen_attn, "enable_gqa" in inspect.signature(varlen_attn).parameters


@cache
def _flash_attn() -> Any:
    """Return the function of the package flash-attn."""
    from flash_attn import flash_attn_varlen_func

    return flash_attn_varlen_func
