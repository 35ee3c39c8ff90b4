from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from musicllm.model.head import Adjustment
from musicllm.train import fused, loss
from musicllm.train.capabilities import Capabilities

NUM, WIDTH, VOCABULARY = 23, 8, 50


def make_head(*, bias: bool = False, trained: bool = True) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(WIDTH, VOCABULARY, bias=bias).requires_grad_(trained)


def make_states(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    states = torch.randn(NUM, WIDTH, generator=generator).to(dtype).requires_grad_()
    return states, torch.randint(VOCABULARY, (NUM,), generator=generator)


def gradients(total: Tensor, *inputs: Tensor | None) -> list[Tensor | None]:
    """Gradients of a third of the total, since the module divides it."""
    for each in inputs:
        if each is not None:
            each.grad = None
    (total / 3).backward()
    return [None if each is None else each.grad for each in inputs]


@pytest.mark.parametrize("piece", [1, 7, NUM, 1000])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("trained", [False, True])
def test_loss_and_gradients_are_those_of_plain_cross_entropy(
    piece: int, bias: bool, trained: bool
) -> None:
    head = make_head(bias=bias, trained=trained)
    states, tokens = make_states()
    expected = functional.cross_entropy(head(states), tokens, reduction="sum")
    inputs = (states, head.weight, head.bias)
    wanted = gradients(expected, *inputs)
    total = fused.sum_nll(states, head, tokens, piece)
    found = gradients(total, *inputs)
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert (head.weight.grad is not None) is trained
    for one, other in zip(found, wanted, strict=True):
        if other is None:
            assert one is None
        else:
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


ADJUSTMENTS = {
    "scale": Adjustment(scale=0.25),
    "cap": Adjustment(cap=0.5),
    "scale and cap": Adjustment(scale=3.0, cap=0.5),
}


@pytest.mark.parametrize("name", ADJUSTMENTS)
@pytest.mark.parametrize("trained", [False, True])
def test_scaled_and_capped_logits_have_the_gradients_of_autograd(name: str, trained: bool) -> None:
    head = make_head(bias=True, trained=trained)
    states, tokens = make_states()
    logits = ADJUSTMENTS[name](head(states))
    expected = functional.cross_entropy(logits, tokens, reduction="sum")
    inputs = (states, head.weight, head.bias) if trained else (states,)
    wanted = gradients(expected, *inputs)
    total = fused.sum_nll(states, head, tokens, 7, ADJUSTMENTS[name])
    found = gradients(total, *inputs)
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert total.item() != pytest.approx(fused.sum_nll(states, head, tokens, 7).item(), rel=1e-3)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ADJUSTMENTS)
def test_scaled_and_capped_logits_under_autocast(name: str) -> None:
    head = make_head()
    states, tokens = make_states(torch.bfloat16)
    inputs = (states, head.weight)
    with torch.autocast("cpu", torch.bfloat16):
        logits = ADJUSTMENTS[name](head(states))
        plain = functional.cross_entropy(logits, tokens, reduction="sum")
        total = fused.sum_nll(states, head, tokens, 7, ADJUSTMENTS[name])
    assert total.item() == pytest.approx(plain.item(), rel=1e-6)
    for one, other in zip(gradients(total, *inputs), gradients(plain, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("hidden_dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_it_computes_as_the_plain_loss_does(hidden_dtype: torch.dtype) -> None:
    head = make_head(bias=True)
    states, tokens = make_states(hidden_dtype)
    inputs = (states, head.weight, head.bias)
    with torch.autocast("cpu", torch.bfloat16):
        plain = functional.cross_entropy(head(states).float(), tokens, reduction="sum")
        total = fused.sum_nll(states, head, tokens, 7)
    assert total.dtype == torch.float32
    assert total.item() == pytest.approx(plain.item(), rel=1e-6)
    for one, other in zip(gradients(total, *inputs), gradients(plain, *inputs), strict=True):
        assert one is not None
        assert other is not None
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02)


def test_a_second_backward_pass_is_refused_rather_than_wrong() -> None:
    head, (states, tokens) = make_head(), make_states()
    total = fused.sum_nll(states, head, tokens, 7)
    total.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


def kept_bytes(compute: Any) -> int:
    """Bytes of the tensors that the backward pass keeps, each storage once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        total = compute()
    del total
    return sum(kept.values())


def test_only_the_gradient_of_the_states_waits_for_the_backward_pass() -> None:
    head = make_head(trained=False)
    states, tokens = make_states()
    logits_bytes = NUM * VOCABULARY * 4
    plain = kept_bytes(lambda: functional.cross_entropy(head(states), tokens, reduction="sum"))
    ours = kept_bytes(lambda: fused.sum_nll(states, head, tokens, 7))
    assert plain >= logits_bytes
    assert ours == NUM * WIDTH * 4


def whole(head: Any) -> Tensor:
    """The loss through `sum_nll`, all tokens supervised, each its own document's second."""
    states, tokens = make_states()
    hidden = torch.stack([states, torch.zeros_like(states)], 1).reshape(1, -1, WIDTH)
    labels = torch.stack([torch.full_like(tokens, -100), tokens], 1).reshape(1, -1)
    positions = torch.tensor([0, 1]).repeat(NUM)[None]
    return loss.sum_nll(hidden, head, labels, positions, vocab_size=VOCABULARY)


class Heads(nn.Module):
    """A model that is hardly more than a head, for PEFT."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(WIDTH, WIDTH)
        self.lm_head = make_head()

    def forward(self, states: Tensor) -> Tensor:
        result: Tensor = self.lm_head(self.body(states))
        return result


def test_peft_s_copy_of_a_head_trained_whole_is_the_head() -> None:
    config = LoraConfig(target_modules=["body"], modules_to_save=["lm_head"])
    head = get_peft_model(Heads(), config).get_submodule("base_model.model.lm_head")
    trained = head.modules_to_save["default"]
    assert fused.as_linear(head) is trained
    whole(head).backward()
    assert trained.weight.grad.any()
    assert head.original_module.weight.grad is None


def test_lora_on_the_head_is_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loss, "LOGITS_AT_ONCE", VOCABULARY * 7)
    model = get_peft_model(Heads(), LoraConfig(target_modules=["lm_head"], r=2))
    head = model.get_submodule("base_model.model.lm_head")
    assert fused.as_linear(head) is None
    nn.init.normal_(head.lora_B["default"].weight)
    states, tokens = make_states()
    expected = functional.cross_entropy(head(states), tokens, reduction="sum")
    assert whole(head).item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_head_that_somebody_watches_is_called() -> None:
    head = make_head()
    calls = []
    head.register_forward_pre_hook(lambda *_: calls.append(1))
    assert fused.as_linear(head) is None
    whole(head).backward()
    assert calls


def test_without_gradients_none_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    head = make_head()
    expected = whole(head).item()
    monkeypatch.setattr(fused, "sum_nll", lambda *_: pytest.fail("took a gradient"))
    with torch.no_grad():
        assert whole(head).item() == pytest.approx(expected)


@pytest.fixture
def liger(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Stands in for liger-kernel, which needs a GPU."""
    calls: list[dict[str, Any]] = []

    def compute(states: Tensor, weight: Tensor, tokens: Tensor, **options: Any) -> Tensor:
        calls.append(options)
        logits = functional.linear(states, weight, options["bias"])
        return functional.cross_entropy(logits.float(), tokens, reduction=options["reduction"])

    module = ModuleType("liger_kernel.transformers.functional")
    module.liger_fused_linear_cross_entropy = compute  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel", ModuleType("liger_kernel"))
    monkeypatch.setitem(
        sys.modules, "liger_kernel.transformers", ModuleType("liger_kernel.transformers")
    )
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers.functional", module)
    gpu = Capabilities("gpu", "a GPU", 1, 80.0, True, True)
    monkeypatch.setattr(fused, "probe", lambda _: gpu)
    return calls


def test_liger_gets_the_sum_and_float32_for_the_head(liger: list[dict[str, Any]]) -> None:
    head, (states, tokens) = make_head(), make_states()
    total = fused._liger(states, head.weight, None, tokens, None)
    assert total.item() == pytest.approx(fused.sum_nll(states, head, tokens, 7).item(), rel=1e-6)
    options = {"bias": None, "reduction": "sum", "accum_dtype": torch.float32}
    assert liger == [{**options, "softcap": None}]
