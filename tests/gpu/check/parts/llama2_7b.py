"""LLaMA-2-7B's shapes, LoRA r=64 on packed rows of 2,048 tokens, beside transformers.Trainer."""

from __future__ import annotations

from collections.abc import Iterator

from tests.gpu.check.finding import Finding, Setting
from tests.gpu.check.speed import measure


def run(setting: Setting) -> Iterator[Finding]:
    """Yield speeds and memory."""
    words = ["model=llama2_7b", "adapter=lora_r64"]
    yield from measure(setting, "llama2_7b", ("ours", "trainer"), words)
