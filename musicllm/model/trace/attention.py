"""Attention of a traced layer: recorded where it is called, and kept as a kernel keeps it.

Every class that passes its attention through transformers' interface is seen here, with its window
and the gradients that its inputs need. Kernels of a GPU are replaced by what they keep.

Axes: B rows, H heads, T tokens, D features of a head of queries and keys, E of values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedConfig

from musicllm.model.attention.kernels import Variant, of_document
from musicllm.model.attention.patterns import Local
from musicllm.model.trace.recorder import Recorder

NAME = "traced"
"""Its name in transformers."""


@dataclass(frozen=True)
class AttentionCall:
    """One call of attention.

    Attributes:
        num_heads: of queries.
        query_dim: features of a head of queries and keys.
        value_dim: features of a head of values.
        window: keys that a token sees at most, itself included; None for all before it.
        chunk: documents are cut into chunks of so many tokens, which do not see each other.
        query_gradient: queries need a gradient, and so on.
        key_gradient: see `query_gradient`.
        value_gradient: see `query_gradient`.
    """

    num_heads: int
    query_dim: int
    value_dim: int
    window: int | None
    chunk: int | None
    query_gradient: bool
    key_gradient: bool
    value_gradient: bool

    def flops(self, mean_context: float) -> float:
        """Return the FLOPs of a token, forward and backward.

        Scores and weighted values cost 2 c H D and 2 c H E for c keys. The backward pass has the
        products for queries and keys (2 c H D each), for values and, unless only values need a
        gradient, for the attention weights (2 c H E each).

        Args:
            mean_context: c, keys that a token attends to, averaged over tokens.
        """
        scores = self.query_gradient or self.key_gradient
        of_query_dim = 1 + self.query_gradient + self.key_gradient
        of_value_dim = 1 + self.value_gradient + scores
        features = of_query_dim * self.query_dim + of_value_dim * self.value_dim
        return 2 * mean_context * self.num_heads * features


class Attention:
    """Stands in for a kernel, and records the calls of one traced layer at a time.

    Attributes:
        calls: of the current layer.
        recorder: of the trace; it does not count the FLOPs in here.
    """

    recorder: Recorder

    def __init__(self, kernel: str, *, compute_dtype: torch.dtype) -> None:
        """Take the kernel.

        Args:
            kernel: its name, such as `varlen_sdpa`, which runs itself, on one document.
            compute_dtype: of queries, keys and values inside the kernel.
        """
        self._per_document = kernel == "varlen_sdpa"
        self._compute_dtype = compute_dtype
        self.calls: list[AttentionCall] = []

    def register(self) -> None:
        """Make this instance the attention named `NAME` in transformers."""
        AttentionInterface.register(NAME, self)
        AttentionMaskInterface.register(NAME, _local_or_mask)

    def __call__(
        self,
        _module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | Local | None,
        *,
        dropout: float = 0.0,
        scaling: float | None = None,
        softcap: float | None = None,
        s_aux: Tensor | None = None,
        **_others: Any,
    ) -> tuple[Tensor, None]:
        """Record a call, and return [B, T, H, E]; arguments as `attention.packing` takes them."""
        local = attention_mask if isinstance(attention_mask, Local) else None
        self.calls.append(
            AttentionCall(
                num_heads=query.shape[1],
                query_dim=query.shape[3],
                value_dim=value.shape[3],
                window=None if local is None or local.chunked else local.size,
                chunk=local.size if local is not None and local.chunked else None,
                query_gradient=query.requires_grad,
                key_gradient=key.requires_grad,
                value_gradient=value.requires_grad,
            )
        )
        inputs = [tensor.to(self._compute_dtype) for tensor in (query, key, value)]
        window = self.calls[-1].window
        self.recorder.pause()
        if self._per_document:
            variant = Variant(scaling, dropout, window, softcap, s_aux)
            out = torch.cat([of_document(*inputs, variant=variant).transpose(1, 2)], dim=1)
        else:
            out = _flash(*inputs, sinks=s_aux)
        self.recorder.resume()
        if out.requires_grad:
            self._leave_out(out, inputs)
        return out, None

    def _leave_out(self, out: Tensor, inputs: list[Tensor]) -> None:
        """Count no FLOPs in the backward pass from the output to the last of the inputs."""
        waiting = [tensor for tensor in inputs if tensor.requires_grad]
        missing = len(waiting)

        def start(_: Tensor) -> None:
            self.recorder.pause()

        def end(_: Tensor) -> None:
            nonlocal missing
            missing -= 1
            if not missing:
                self.recorder.resume()

        out.register_hook(start)  # type: ignore[no-untyped-call]
        for tensor in waiting:
            tensor.register_hook(end)  # type: ignore[no-untyped-call]


def _flash(query: Tensor, key: Tensor, value: Tensor, *, sinks: Tensor | None) -> Tensor:
    """Return the output of a fused kernel, [B, T, H, E]; sinks as in `attention.kernels.flex`."""
    out: Tensor = _Kernel.apply(query, key, value)  # type: ignore[no-untyped-call]
    if sinks is None:
        return out
    sums = query.new_empty(query.shape[:3], dtype=torch.float32)
    share = torch.sigmoid(sums - sinks.float()[None, :, None])
    return out * share.transpose(1, 2)[..., None].to(out.dtype)


class _Kernel(torch.autograd.Function):
    """Keeps its inputs, its output and a float32 per head and token (arXiv 2307.08691)."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        rows, heads, tokens, _ = query.shape
        out = query.new_empty(rows, tokens, heads, value.shape[3])
        sums = query.new_empty(rows, heads, tokens, dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _grad: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors[:3]
        return tuple(
            torch.empty_like(tensor) if needed else None
            for tensor, needed in zip(inputs, ctx.needs_input_grad, strict=True)
        )


def _local_or_mask(
    *,
    q_length: int,
    kv_length: int,
    config: PreTrainedConfig,
    local_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    **_: Any,
) -> Tensor | Local:
    """Return the pattern of local layers, and a mask for classes with an attention of their own."""
    if local_size is not None:
        return Local(local_size, local_size == getattr(config, "attention_chunk_size", None))
    return torch.empty(1, 1, q_length, kv_length, dtype=dtype)
