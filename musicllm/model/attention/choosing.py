"""Selects the attention kernel of a training run: the configured one, or the fastest that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from musicllm.errors import ConfigError, Problem

ALL = ("flash_attention_2", "varlen", "flex", "varlen_sdpa")
"""Fastest first on a GPU; the last runs everywhere, and is the fastest on a CPU."""

HALF = ("float16", "bfloat16")


def choose(
    setting: str,
    accelerator: str,
    *,
    dtype: str,
    head_dim: int,
    dropout: float = 0.0,
    lacking: Mapping[str, str] | None = None,
) -> str:
    """Return the name of the attention to train with, as registered in transformers.

    Args:
        setting: `hardware.attention`: auto, or a name in `ALL`.
        accelerator: cpu or gpu.
        dtype: of the computation, such as bfloat16 for `bf16-mixed`.
        head_dim: dimension of a head.
        dropout: of attention weights during training.
        lacking: name -> reason why this GPU or installation does not support it; see
            `musicllm.train.capabilities`.

    Raises:
        ConfigError: the configured attention does not run here.
    """
    refusals = {**dict(_refusals(accelerator, dtype, head_dim, dropout)), **(lacking or {})}
    runs = [name for name in ALL if name not in refusals]
    if setting == "auto":
        return runs[0]
    assert setting in ALL, f"attention {setting!r} passed the checks"
    if setting in refusals:
        rule = f"does not run here: {refusals[setting]}"
        fix = f"use {runs[0]}, or auto, which takes it"
        raise ConfigError([Problem("hardware.attention", setting, rule, fix)])
    return setting


def _refusals(
    accelerator: str, dtype: str, head_dim: int, dropout: float
) -> Iterator[tuple[str, str]]:
    """Yield attentions that this model cannot use, with reasons."""
    if accelerator == "cpu":
        yield "flash_attention_2", "it needs a GPU"
        yield "varlen", "it needs a GPU"
        yield "flex", "torch has no gradient of it on a CPU"
    for name in ("flash_attention_2", "varlen"):
        if dtype not in HALF:
            yield name, f"it computes in bfloat16 or float16, and this run in {dtype}"
        if head_dim % 8 or head_dim > 256:
            yield name, f"heads have dimension {head_dim}; it takes multiples of 8 up to 256"
    if head_dim < 16:
        yield "flex", f"heads have dimension {head_dim}; it takes 16 or more"
    if dropout:
        for name in ("varlen", "flex"):
            yield name, f"it has no dropout, and model.attention_dropout={dropout:g}"
