"""The loss of a large vocabulary: liger's kernel and ours against float64, and what each costs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor, nn

from tests.gpu.check.finding import Finding, Setting, at_most, attempt

Shape = tuple[int, int, int]

EXACT: Shape = (512, 256, 32_000)
LARGE: Shape = (8192, 4096, 128_256)
"""Tokens, width, vocabulary."""


def run(setting: Setting) -> Iterator[Finding]:
    """Yield errors of the sum and of both gradients, then seconds and gigabytes of a large one."""
    for name in ("ours", "liger"):
        yield from attempt(name, lambda name=name: _of(setting, name))  # type: ignore[misc]


def _of(setting: Setting, name: str) -> Iterator[Finding]:
    from musicllm.train.capabilities import probe

    if name == "liger" and not (setting.device == "cuda" and probe("gpu").fused_loss):
        yield Finding("liger", verdict="not here", note="it needs liger-kernel, triton and a GPU")
        return
    with _fused(setting, liger=name == "liger"):
        for dtype in (torch.float32, torch.bfloat16):
            yield from _errors(setting, name, dtype)
        yield from _cost(setting, name)


@contextmanager
def _fused(setting: Setting, *, liger: bool) -> Iterator[None]:
    """Choose the implementation of the loss."""
    from musicllm.train import fused
    from musicllm.train.capabilities import probe

    able = dataclasses.replace(probe(setting.accelerator), fused_loss=liger)
    with mock.patch.object(fused, "probe", return_value=able):
        yield


def _errors(setting: Setting, name: str, dtype: torch.dtype) -> Iterator[Finding]:
    states, weight, labels, positions = _drawn((64, 32, 500) if setting.dry else EXACT, setting)
    rounded = states.to(dtype).double(), weight.to(dtype).double()
    expected = _gradients(_reference, *rounded, labels, positions)
    actual = _gradients(_ours, states.to(dtype), weight.to(dtype), labels, positions)
    limit = 1e-5 if dtype == torch.float32 else 2e-2
    kind = f"{name}, {dtype}".replace("torch.", "")
    parts = ("loss", "gradient of the states", "gradient of the head")
    for part, ours, true in zip(parts, actual, expected, strict=True):
        far = float((ours.double() - true).norm() / true.norm())
        yield at_most(f"{kind}: {part}", far, limit, note="relative error")


def _cost(setting: Setting, name: str) -> Iterator[Finding]:
    states, weight, labels, positions = _drawn((64, 32, 500) if setting.dry else LARGE, setting)
    states, weight = states.bfloat16(), weight.bfloat16()
    seconds = []
    for _ in range(3):
        if setting.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        began = time.perf_counter()
        _gradients(_ours, states, weight, labels, positions)
        if setting.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    yield Finding(f"{name}: forward and backward", 1e3 * min(seconds), "ms", note=str(LARGE))
    if setting.device == "cuda":
        peak = torch.cuda.max_memory_allocated() - before
        yield Finding(f"{name}: peak memory beside the inputs", peak / 1e9, "GB")


def _drawn(shape: Shape, setting: Setting) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return states [1, N, D], the weight of a head [V, D], labels and positions [1, N]."""
    tokens, width, vocabulary = shape
    generator = torch.Generator(setting.device).manual_seed(0)
    options = {"generator": generator, "device": setting.device}
    labels = torch.randint(vocabulary, (1, tokens), **options)  # type: ignore[call-overload]
    labels[0, ::5] = -100
    positions = torch.arange(tokens, device=setting.device)[None]
    states = torch.randn(1, tokens, width, **options)  # type: ignore[call-overload]
    weight = 0.05 * torch.randn(vocabulary, width, **options)  # type: ignore[call-overload]
    return states, weight, labels, positions


def _gradients(
    function: Callable[..., Tensor],
    states: Tensor,
    weight: Tensor,
    labels: Tensor,
    positions: Tensor,
) -> list[Tensor]:
    states, weight = states.clone().requires_grad_(), weight.clone().requires_grad_()
    loss = function(states, weight, labels, positions)
    return [loss.detach(), *torch.autograd.grad(loss, (states, weight))]


def _reference(states: Tensor, weight: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
    del positions
    logits = states[0, :-1] @ weight.t()
    return nn.functional.cross_entropy(logits, labels[0, 1:], reduction="sum")


def _ours(states: Tensor, weight: Tensor, labels: Tensor, positions: Tensor) -> Tensor:
    from musicllm.train.loss import sum_nll

    head = nn.Linear(1, 1, bias=False)
    del head.weight
    head.weight = weight  # type: ignore[assignment]  # not a parameter, so that its gradient is here
    return sum_nll(states, head, labels, positions, vocab_size=weight.shape[0])
