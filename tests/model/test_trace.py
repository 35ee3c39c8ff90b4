"""A trace against what autograd keeps and computes with actual tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from musicllm.model.spec import ModelSpec
from musicllm.model.trace import Bytes, Run, trace
from musicllm.model.trace.copies import first_of, kinds_of
from musicllm.model.trace.rules import OnGpu
from tests.model import families
from tests.models import LORA, TINY

ALL = dataclasses.replace(LORA, r=8, dropout=0.1, targets=("attention", "mlp"))
LENGTH = 61  # of a document
DEFAULT = ("llama_wide_heads", "gpt2", "gemma2", "gpt_oss", "phi3_window")
"""Wide heads and biases; Conv1D and dropout; windows, soft caps; sinks, experts; fused."""


def spec_of(family: str) -> ModelSpec:
    ids = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    return dataclasses.replace(TINY, config=families.published(family, **ids))


def test_layers_that_are_alike_are_traced_once() -> None:
    deep = TINY.changed(num_hidden_layers=7)
    lowest, *others = trace(deep, ALL).layers
    assert not lowest.input_gradient
    assert lowest.kept != others[0].kept
    assert all(other is others[0] for other in others)


def test_gradients_that_begin_in_the_middle_are_followed() -> None:
    """Only attention has queries, so that the third layer with a convolution is the first below
    which something is trained: none of the two that are copied is like it."""
    types = ["conv", "conv", "conv", "full_attention", "conv"]
    config = families.published("lfm2", num_hidden_layers=5, layer_types=types)
    spec = dataclasses.replace(TINY, config=config)
    layers = trace(spec, dataclasses.replace(LORA, targets=("q_proj",))).layers
    assert [layer.output_gradient for layer in layers] == [False] * 3 + [True] * 2
    assert [layer.input_gradient for layer in layers] == [False] * 4 + [True]
    assert layers[2] is layers[0]


def test_kinds_are_told_apart_by_shapes_and_settings_but_not_by_number() -> None:
    def layer(width: int, number: int, window: int | None) -> nn.Module:
        module = nn.Linear(width, width)
        module.layer_idx, module.window = number, window  # type: ignore[assignment]
        return module

    layers = [layer(4, 0, 2), layer(4, 1, None), layer(4, 2, 2), layer(5, 3, 2), layer(4, 4, 2)]
    kinds = kinds_of(layers, ["", "", "", "", "adapted"])
    assert kinds[0] == kinds[2]
    assert len(set(kinds)) == 4
    assert first_of([*kinds, *kinds], 2) == {0, 1, 2, 3, 4, 6, 8, 9}


def saved(call: Callable[[], Tensor]) -> list[Tensor]:
    tensors: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        tensors.append(tensor.detach())
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        call()
    return tensors


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_a_byte_on_a_gpu_and_its_input_dtype_on_a_cpu(dtype: torch.dtype) -> None:
    inputs = torch.ones(10, dtype=dtype, requires_grad=True)

    def drop() -> Tensor:
        return nn.functional.dropout(inputs, 0.5)

    assert [tensor.nbytes for tensor in saved(drop)] == [10 * dtype.itemsize]
    with OnGpu():
        assert [tensor.nbytes for tensor in saved(drop)] == [10]
        assert nn.functional.dropout(inputs, 0.5, training=False) is inputs


def test_norms_and_softmax_are_float32_under_autocast_on_a_gpu() -> None:
    inputs = torch.ones(2, 4, dtype=torch.bfloat16)
    calls = {
        "layer_norm": lambda: nn.functional.layer_norm(inputs, (4,)),
        "softmax": lambda: inputs.softmax(-1),
        "rsqrt": lambda: torch.rsqrt(inputs),
    }
    with torch.autocast("cpu", torch.bfloat16):
        assert {call().dtype for call in calls.values()} == {torch.bfloat16}
        with OnGpu():
            assert {call().dtype for call in calls.values()} == {torch.float32}
            assert inputs.softmax(-1, dtype=torch.bfloat16).dtype == torch.bfloat16
    with OnGpu():
        assert calls["softmax"]().dtype == torch.bfloat16  # without autocast as everywhere


def test_a_gpu_keeps_masks_of_a_byte_and_attention_once() -> None:
    """Seven matrices with dropout: a byte instead of four where the input needs a gradient."""
    on_cpu, on_gpu = (
        trace(TINY, ALL, Run(LENGTH, "bfloat16", gpu, attention))
        for gpu, attention in ((False, "varlen_sdpa"), (True, "varlen"))
    )
    top = on_cpu.layers[-1].kept.of_tokens - on_gpu.layers[-1].kept.of_tokens
    assert top == LENGTH * 3 * (4 * 32 + 2 * 32 + 48)


def test_sizes_are_added_by_kind() -> None:
    assert Bytes(1, 2) + Bytes(3, 4) - Bytes(1, 1) == Bytes(3, 5)
    assert Bytes(3, 5).total == 8
