"""What autograd keeps of the layers of every class, against a trace."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from musicllm.model.spec import AdapterSpec, ModelSpec
from musicllm.model.trace import Run, Trace, trace
from tests.model import families
from tests.models import LORA, TINY
from tests.train.memory.batch import FULL, MicroBatch

ALL = dataclasses.replace(LORA, r=8, dropout=0.1, targets=("attention", "mlp"))
LENGTH = 61  # of a document
DEFAULT = ("llama_wide_heads", "gpt2", "gemma2", "gpt_oss", "phi3_window")
"""Wide heads and biases; Conv1D and dropout; windows, soft caps; sinks, experts; fused."""


def spec_of(family: str) -> ModelSpec:
    ids = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    return dataclasses.replace(TINY, config=families.published(family, **ids))


def kept(traced: Trace, num_tokens: int) -> float:
    total = sum((layer.kept for layer in traced.layers), traced.around)
    return total.of_tokens * num_tokens / traced.num_tokens + total.of_weights


NOT_PACKED = {"bloom", "falcon", "nemotron"}
"""Classes with an attention of their own, whose documents go through one by one."""


def cases() -> Iterator[Any]:
    others = set(families.ATTENTION) - set(DEFAULT) - NOT_PACKED
    for family in (*DEFAULT, *sorted(others)):
        marks = () if family in DEFAULT else pytest.mark.slow
        yield pytest.param(family, id=family, marks=marks)


@pytest.mark.parametrize("family", list(cases()))
@pytest.mark.parametrize(
    ("adapter", "compute"),
    [(ALL, "float32"), pytest.param(FULL, "bfloat16", marks=pytest.mark.slow)],
)
def test_a_trace_keeps_what_autograd_keeps(
    family: str,
    adapter: AdapterSpec,
    compute: str,
    saved_bytes: Callable[[MicroBatch], int],
) -> None:
    spec, num_tokens = spec_of(family), 4 * LENGTH
    if family in families.MOE:  # experts are adapted as tensors, whose inputs have no dropout
        adapter = dataclasses.replace(adapter, dropout=0.0)
    batch = MicroBatch(
        spec, adapter, compute_dtype=compute, num_tokens=num_tokens, checkpointing=False
    )
    traced = trace(spec, adapter, Run(LENGTH, compute, False, "varlen_sdpa"))
    assert saved_bytes(batch) == pytest.approx(kept(traced, num_tokens), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_class_is_traced(family: str) -> None:
    traced = trace(spec_of(family), FULL, Run(LENGTH, "float32", True, "varlen"))
    assert all(layer.flops > 0 and layer.kept.of_tokens > 0 for layer in traced.layers)
