"""DeepSpeed's ZeRO 2 on one device, against a single device without it."""

from __future__ import annotations

from collections.abc import Iterator

from tests.gpu.check.finding import Finding, Setting
from tests.gpu.check.parts.training import compare, hardware, losses, train, write_corpus


def run(setting: Setting) -> Iterator[Finding]:
    """Yield the largest difference of the losses of all steps."""
    corpus = write_corpus(setting.work)
    precision = "fp32" if setting.device == "cpu" else "bf16"
    words = [hardware(setting), f"hardware.precision={precision}"]
    expected = losses(train(setting, corpus, *words, "strategy=single", "name=single"))
    lines = train(setting, corpus, *words, "strategy=zero2", "name=zero2")
    yield from compare(f"ZeRO 2, {precision}", expected, lines, 0.02)
