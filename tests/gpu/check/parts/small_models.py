"""Small models, 0.1 to 1 B parameters, all of them trained on packed rows of 2,048 tokens."""

from __future__ import annotations

from collections.abc import Iterator

from tests.gpu.check.finding import Finding, Setting, attempt
from tests.gpu.check.speed import measure

MODELS = ("smollm2_135m", "qwen3_0_6b", "llama3_2_1b")
WORDS = (
    "adapter=full",
    "training.activation_checkpointing=false",
    "hardware.max_rows_per_device=4",  # the largest fits into 80 GB so
)


def run(setting: Setting) -> Iterator[Finding]:
    """Yield speeds and memory; the smallest also beside a bare loop, and compiled."""
    smallest = f"model={MODELS[0]}"
    yield from _of(setting, MODELS[0], ("ours", "bare"), smallest)
    for name in MODELS[1:]:
        yield from _of(setting, name, ("ours",), f"model={name}")
    yield from _of(setting, "compiled", ("ours",), smallest, "training.compile=true")


def _of(
    setting: Setting, name: str, contestants: tuple[str, ...], *words: str
) -> Iterator[Finding]:
    def check() -> Iterator[Finding]:
        yield from measure(setting, name, contestants, (*WORDS, *words), in_own_process=False)

    yield from attempt(name, check)
