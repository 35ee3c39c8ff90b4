"""Qwen3-8B's shapes, LoRA r=64 on packed rows of 2,048 tokens."""

from __future__ import annotations

from collections.abc import Iterator

from tests.gpu.check.finding import Finding, Setting
from tests.gpu.check.speed import measure


def run(setting: Setting) -> Iterator[Finding]:
    """Yield speeds and memory."""
    yield from measure(setting, "qwen3_8b", ("ours",), ["model=qwen3_8b", "adapter=lora_r64"])
