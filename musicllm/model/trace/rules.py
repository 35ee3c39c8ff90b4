"""What torch does otherwise on a GPU, as far as bytes depend on it.

A CPU traces in its place, since torch has no gradients of fake tensors on a device that its build
does not support. Two things differ:

- dropout keeps a byte per element, where a CPU keeps the mask in the dtype of its input;
- autocast computes some functions in float32 (torch/amp, "CUDA Ops that can autocast to float32").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

FLOAT32_ON_GPU = frozenset({
    "acos", "asin", "cosh", "cumprod", "cumsum", "erfinv", "exp", "expm1", "group_norm",
    "layer_norm", "log", "log10", "log1p", "log2", "log_softmax", "logsumexp", "norm", "pow",
    "prod", "reciprocal", "rms_norm", "rsqrt", "sinh", "softmax", "softplus", "sum", "tan",
})  # fmt: skip
"""Functions that autocast computes in float32 on a GPU, on a CPU in the dtype of their input."""


class GroupedProducts(TorchFunctionMode):
    """Stands in for the products of experts, which fake tensors have in bfloat16 only.

    Attributes:
        flops: of these products so far.
    """

    def __init__(self) -> None:
        """Start with no FLOPs."""
        super().__init__()
        self.flops = 0

    def __torch_function__(
        self,
        func: Any,
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace the product, and call any other function."""
        if getattr(func, "__name__", "") in ("grouped_mm", "_grouped_mm"):
            return _Grouped.apply(*args[:2], self)  # type: ignore[no-untyped-call]
        return func(*args, **(kwargs or {}))


class _Grouped(torch.autograd.Function):
    """[S, K] rows, each times one of G matrices [K, N] -> [S, N]; keeps what a gradient needs."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor, counter: GroupedProducts) -> Tensor:
        of_rows, of_weights = ctx.needs_input_grad[:2]
        ctx.save_for_backward(rows if of_weights else None, weights if of_rows else None)
        ctx.shapes, ctx.counter = (rows.shape, weights.shape), counter
        ctx.flops = 2 * rows.shape[0] * weights[0].numel()
        counter.flops += ctx.flops
        return rows.new_empty(rows.shape[0], weights.shape[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needed = ctx.needs_input_grad[:2]
        ctx.counter.flops += sum(needed) * ctx.flops
        gradients = (
            grad.new_empty(shape) if need else None
            for shape, need in zip(ctx.shapes, needed, strict=True)
        )
        return *gradients, None


class OnGpu(TorchFunctionMode):
    """Replaces functions of a CPU by what a GPU does."""

    def __torch_function__(
        self,
        func: Any,
        _types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function as a GPU would."""
        options = dict(kwargs or {})
        if func is torch.nn.functional.dropout:
            return _dropout(*args, **options)
        name = getattr(func, "__name__", "")
        if name in FLOAT32_ON_GPU and torch.is_autocast_enabled("cpu") and not options.get("dtype"):
            args = [_widened(arg) for arg in args]
            options = {key: _widened(value) for key, value in options.items()}
        return func(*args, **options)


def _dropout(inputs: Tensor, p: float = 0.5, training: bool = True, **_: Any) -> Tensor:
    """Drop elements as on a GPU; arguments as torch names them."""
    if not training or p == 0:
        return inputs
    out: Tensor = torch.native_dropout(inputs, p, True)[0]
    return out


def _widened(value: Any) -> Any:
    half = (torch.float16, torch.bfloat16)
    return value.float() if isinstance(value, Tensor) and value.dtype in half else value
