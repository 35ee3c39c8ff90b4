"""The router loss is the class's own, of each row by itself, however a step is split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from musicllm.errors import NotAvailableError
from musicllm.model import isolation, router
from tests.model import families
from tests.packed_rows import make_documents, pack

BALANCED = ("mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss", "granitemoe")
ON = {"output_router_logits": True, "router_aux_loss_coef": 0.25}
LENGTHS = ((20, 9), (31,))
"""Documents of two rows."""


def rows() -> list[list[Tensor]]:
    documents = make_documents([length for row in LENGTHS for length in row])
    return [documents[:2], documents[2:]]


def model_of(name: str) -> Any:
    """Return a model whose config.json has the loss switched off, and that follows another one."""
    model = families.build(name)
    model.config.output_router_logits = False
    router.follow(model, families.config_of(name, **ON))
    return model.train()


def ours(model: Any, chosen: list[list[Tensor]], kind: isolation.Isolation) -> Tensor:
    documents = [document for row in chosen for document in row]
    packed = pack(documents)
    isolation.choose(model, kind)
    loss = router.router_loss_of(model)
    assert loss is not None
    with router.recording(model) as logits:
        inputs = {"input_ids": packed["input_ids"]}
        isolation.decode(model, inputs, packed["position_ids"], packed["cu_seq_lens"], most=more)
    assert model.config.output_router_logits is False
    return loss.sum_over_rows(logits, [sum(map(len, row)) for row in chosen])


def more(passes: int) -> int:
    """Return the passes of another rank, which gathers weights twice more often."""
    return passes + 2


def theirs(model: Any, row: list[Tensor]) -> Tensor:
    """Return the loss of transformers of a row whose documents are given one by one."""
    logits: list[tuple[Tensor, ...]] = []
    for document in row:
        output = model(input_ids=document[None], use_cache=False, output_router_logits=True)
        logits.append(output.router_logits)
    if len(row) == 1:
        return 0.25 * output.aux_loss
    layers = tuple(torch.cat(layer) for layer in zip(*logits, strict=True))
    loss = router.router_loss_of(model)
    assert loss is not None
    return 0.25 * loss.balance(layers, 4, 2)


@pytest.mark.parametrize(
    "name",
    [
        "qwen3_moe",
        *(pytest.param(n, marks=pytest.mark.slow) for n in BALANCED if n != "qwen3_moe"),
    ],
)
def test_rows_have_the_loss_of_the_class(name: str) -> None:
    model = model_of(name)
    wanted = [theirs(model, row) for row in rows()]
    assert wanted[0].item() != pytest.approx(wanted[1].item(), rel=1e-3)
    joint = ours(model, rows(), "one_by_one")
    torch.testing.assert_close(joint, wanted[0] + wanted[1], rtol=1e-4, atol=1e-5)
    apart = [ours(model, [row], "one_by_one") for row in rows()]
    torch.testing.assert_close(apart[0] + apart[1], joint, rtol=1e-5, atol=1e-6)
    weights = [weight for path, weight in model.named_parameters() if path.endswith(".gate.weight")]
    weights = weights or [w for path, w in model.named_parameters() if "router" in path]
    gradients = [torch.autograd.grad(loss, weights) for loss in (joint, wanted[0] + wanted[1])]
    for own, other in zip(*gradients, strict=True):
        assert own.any()
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)


def test_an_idle_rank_adds_nothing() -> None:
    model = model_of("qwen3_moe")
    loss = router.router_loss_of(model)
    assert loss is not None
    assert loss.sum_over_rows([torch.ones(1, 4)], []) == 0


def test_a_model_is_trained_without_unless_its_configuration_says_so() -> None:
    model = families.build("qwen3_moe")
    router.follow(model, families.config_of("qwen3_moe", output_router_logits=False))
    assert router.router_loss_of(model) is None


@pytest.mark.parametrize("name", ["llama", "deepseek_v3", "llama4"])
def test_a_class_without_a_router_loss_is_refused(name: str) -> None:
    with pytest.raises(NotAvailableError) as caught:
        router.follow(families.build(name), families.config_of(name, **ON))
    assert "model.config.output_router_logits=true, but " in str(caught.value)
    assert "ForCausalLM has no router loss in transformers; write false" in str(caught.value)
