"""Speed of every attention on packed rows: what `hardware.attention=auto` should prefer."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from tests.gpu.check.finding import Finding, Setting, attempt
from tests.gpu.check.shapes import Case, ends, inputs

SHAPES = {
    "32 heads of 128, documents of 2,048": (Case(num_heads=32, num_groups=8), [2048] * 8),
    "32 heads of 128, documents of 256": (Case(num_heads=32, num_groups=8), [256] * 64),
    "9 heads of 64, documents of 800": (Case(num_heads=9, num_groups=3, head_dim=64), [800] * 20),
}


def run(setting: Setting) -> Iterator[Finding]:
    """Yield milliseconds of a forward and a backward pass in bf16, the median of five."""
    from musicllm.model.attention import ALL
    from musicllm.train.capabilities import probe

    lacking = dict(probe(setting.accelerator).lacking)
    if setting.device == "cpu":
        lacking = {name: "it needs a GPU" for name in ALL if name != "varlen_sdpa"}
    for name in ALL:
        if name in lacking:
            yield Finding(name, verdict="not here", note=lacking[name])
            continue
        for text, (case, lengths) in SHAPES.items():

            def check(
                name: str = name, text: str = text, case: Case = case, lengths: list[int] = lengths
            ) -> Iterator[Finding]:
                yield _timed(setting, name, text, case, [16, 5] if setting.dry else lengths)

            yield from attempt(f"{name}, {text}", check)


def _timed(setting: Setting, name: str, text: str, case: Case, lengths: list[int]) -> Finding:
    from musicllm.model.attention.kernels import KERNELS

    drawn = inputs(case, lengths, setting.device)
    leaves = [tensor.bfloat16().requires_grad_() for tensor in drawn.tensors]
    boundaries, weights = ends(lengths, setting.device), drawn.weights.bfloat16()
    seconds = []
    for _ in range(2 if setting.dry else 8):
        began = time.perf_counter()
        out = KERNELS[name](*leaves, boundaries, max(lengths))
        torch.autograd.grad(out, leaves, weights)
        if setting.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    few = sorted(seconds[-5:])
    return Finding(f"{name}, {text}", 1e3 * few[len(few) // 2], "ms")
