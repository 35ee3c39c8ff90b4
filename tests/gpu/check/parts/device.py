"""What the device is and can do, and its rate of matrix products: the share that MFU refers to."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch

from tests.gpu.check.finding import Finding, Setting, attempt


def run(setting: Setting) -> Iterator[Finding]:
    """Yield facts first, so that they are known whatever fails later."""
    if setting.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        capability = f"compute capability {properties.major}.{properties.minor}"
        gigabytes = properties.total_memory / 1e9
        yield Finding("memory", gigabytes, "GB", note=f"{properties.name}, {capability}")
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        name = f"product of matrices, {dtype}".replace("torch.", "")
        yield Finding(name, _rate(setting, dtype) / 1e12, "TFLOP/s")
    yield from attempt("capabilities", lambda: _capabilities(setting))


def _rate(setting: Setting, dtype: torch.dtype) -> float:
    size = 256 if setting.dry else 8192
    matrix = torch.randn(size, size, device=setting.device).to(dtype)
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        matrix @ matrix
        if setting.device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def _capabilities(setting: Setting) -> Iterator[Finding]:
    from musicllm.train.capabilities import probe

    able = probe(setting.accelerator)
    for name in ("bf16", "fused_loss"):
        yield Finding(name, note="yes" if getattr(able, name) else "no")
    for name, reason in able.lacking.items():
        yield Finding(name, verdict="not here", note=reason)
