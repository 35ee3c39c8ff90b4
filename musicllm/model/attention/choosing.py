"""Which attention a training run takes: the one that was asked for, or the fastest that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from musicllm.errors import ConfigError, Problem

ALL = ("flash_attention_2", "varlen", "flex", "varlen_sdpa")
"""Fastest first on a GPU; the last one runs everywhere, and is the fastest on a CPU."""

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
    """Return the name under which transformers knows the attention to train with.

    Args:
        setting: `hardware.attention`: auto, or one of `ALL`.
        accelerator: cpu or gpu.
        dtype: in which the model computes, such as bfloat16 under `bf16-mixed`.
        head_dim: numbers per head.
        dropout: of attention weights, in training.
        lacking: name -> why this GPU or installation does not run it; see
            `musicllm.train.capabilities`.

    Raises:
        ConfigError: the one that was asked for does not run here.
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
    """Yield attentions that this model cannot use, with the reason."""
    if accelerator == "cpu":
        yield "flash_attention_2", "it needs a GPU"
        yield "varlen", "it needs a GPU"
        yield "flex", "torch has no gradient of it on a CPU"
    for name in ("flash_attention_2", "varlen"):
        if dtype not in HALF:
            yield name, f"it computes in bfloat16 or float16, and this run in {dtype}"
        if head_dim % 8 or head_dim > 256:
            yield name, f"heads have {head_dim} numbers; it takes multiples of 8 up to 256"
    if head_dim < 16:
        yield "flex", f"heads have {head_dim} numbers; it takes 16 or more"
    if dropout:
        for name in ("varlen", "flex"):
            yield name, f"it has no dropout, and model.attention_dropout={dropout:g}"
