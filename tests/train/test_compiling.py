from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from musicllm.model import adapters, base
from musicllm.train.compiling import compile_layers
from tests.models import LORA, TINY
from tests.packed_rows import forward, gradient, make_documents, pack

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*not a leaf Tensor is being accessed.*:UserWarning"),
]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.mark.slow
def test_compiled_layers_give_the_same_logits_and_gradients_for_any_lengths() -> None:
    plain, compiled = base.build(TINY, seed=0), base.build(TINY, seed=0)
    compile_layers(compiled, backend="aot_eager")
    graphs = []
    for lengths in ([5, 1, 9], [30, 2], [7, 3, 3, 8], [11, 13]):
        row = pack(make_documents(lengths))
        expected, found = (forward(model, row, use_cache=False) for model in (plain, compiled))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
        one, other = gradient(plain, expected), gradient(compiled, found)
        torch.testing.assert_close(other, one, atol=1e-4, rtol=1e-4)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert graphs[0] > 0
    assert graphs[-2] == graphs[-1], "lengths have become symbols: nothing is compiled again"


def test_layers_under_peft_are_compiled_too() -> None:
    adapted = adapters.attach(base.build(TINY, seed=0), LORA, seed=1)
    compile_layers(adapted, backend="eager")
    layers = adapted.get_base_model().get_decoder().layers
    assert all(layer._compiled_call_impl is not None for layer in layers)
