"""Selects the attention kernel of a training run: the configured one, or the fastest that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from musicllm.errors import ConfigError, Problem

ALL = ("flash_attention_2", "varlen", "flex", "varlen_sdpa")
"""Fastest first on a GPU; the last runs everywhere, and is the fastest on a CPU."""

HALF = ("float16", "bfloat16")


@dataclass(frozen=True)
class Needs:
    """What a model asks of its attention, beside causal attention and windows, which all have.

    Attributes:
        head_dims: dimensions of the heads of all layers, of queries and keys and of values.
        dropout: of attention weights during training.
        softcap: scores have a soft cap.
        sinks: the softmax has a sink per head.
    """

    head_dims: tuple[int, ...]
    dropout: float = 0.0
    softcap: bool = False
    sinks: bool = False


def choose(
    setting: str,
    accelerator: str,
    needs: Needs,
    *,
    dtype: str,
    lacking: Mapping[str, str] | None = None,
) -> str:
    """Return the name of the attention to train with, as in `hardware.attention`.

    Args:
        setting: `hardware.attention`: auto, or a name in `ALL`.
        accelerator: cpu or gpu.
        needs: of the model.
        dtype: of the computation, such as bfloat16 for `bf16-mixed`.
        lacking: name -> reason why this GPU or installation does not support it; see
            `musicllm.train.capabilities`.

    Raises:
        ConfigError: the configured attention does not run here, or lacks what the model needs.
    """
    refusals = {**dict(_refusals(accelerator, dtype, needs)), **(lacking or {})}
    runs = [name for name in ALL if name not in refusals]
    if setting == "auto":
        return runs[0]
    assert setting in ALL, f"attention {setting!r} passed the checks"
    if setting in refusals:
        rule = f"does not run here: {refusals[setting]}"
        fix = f"use {runs[0]}, or auto, which takes it"
        raise ConfigError([Problem("hardware.attention", setting, rule, fix)])
    return setting


def _refusals(accelerator: str, dtype: str, needs: Needs) -> Iterator[tuple[str, str]]:
    """Yield attentions that this model cannot use, with reasons."""
    if accelerator == "cpu":
        yield "flash_attention_2", "it needs a GPU"
        yield "varlen", "it needs a GPU"
        yield "flex", "torch has no gradient of it on a CPU"
    for name in ("flash_attention_2", "varlen"):
        if dtype not in HALF:
            yield name, f"it computes in bfloat16 or float16, and this run in {dtype}"
        for head_dim in needs.head_dims:
            if head_dim % 8 or head_dim > 256:
                yield name, f"heads have dimension {head_dim}; it takes multiples of 8 up to 256"
    for head_dim in needs.head_dims:
        if not 16 <= head_dim <= 256:
            yield "flex", f"heads have dimension {head_dim}; it takes 16 to 256"
    yield from _lacks(needs)


def _lacks(needs: Needs) -> Iterator[tuple[str, str]]:
    """Yield attentions that cannot follow the scores of a model, with reasons."""
    drops = f"this model drops {needs.dropout:g} of them"
    if needs.sinks:
        for name in ("flash_attention_2", "varlen"):
            yield name, "it has no attention sinks, and this model has"
    if needs.softcap:
        yield "varlen", "it has no soft cap of scores, and this model has"
    if needs.softcap and needs.dropout:
        yield "flash_attention_2", f"it has no dropout of weights beside a soft cap, and {drops}"
    if needs.dropout:
        for name in ("varlen", "flex"):
            yield name, f"it has no dropout of attention weights, and {drops}"
