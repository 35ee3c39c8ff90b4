"""The head of every class, with what the class does to its logits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from musicllm.model.head import Adjustment, adjustment_of, head_of
from tests.model import families

IDS = torch.randint(2, 300, (1, 9), generator=torch.Generator().manual_seed(0))

ADJUSTED = {
    "gemma2": (Adjustment(cap=3.0), {}),
    "gemma3": (Adjustment(cap=2.0), {"final_logit_softcapping": 2.0}),
    "gemma4": (Adjustment(cap=3.0), {}),
    "granite": (Adjustment(scale=0.25), {}),
    "granitemoe": (Adjustment(scale=0.25), {}),
    "cohere": (Adjustment(scale=0.25), {}),
    "cohere2": (Adjustment(scale=0.25), {}),
    "falcon_h1": (Adjustment(scale=0.5), {"lm_head_multiplier": 0.5}),
    "recurrent_gemma": (Adjustment(cap=3.0), {}),
}
"""Family -> what it does, and keys that differ from the family's."""


def compare(model):
    """Compare the logits of a model with those of its head on its last hidden states."""
    head = head_of(model)
    with torch.no_grad():
        expected = model(input_ids=IDS, use_cache=False).logits
        decoder = model.get_decoder()
        decoder = model.model if decoder is model else decoder  # Llama 4
        states = decoder(input_ids=IDS, use_cache=False).last_hidden_state
        torch.testing.assert_close(head(states), expected, atol=1e-5, rtol=1e-5)
        return head.module(states), expected


@pytest.mark.parametrize("name", ADJUSTED)
def test_a_scale_and_a_cap_are_those_of_the_class(name):
    adjustment, keys = ADJUSTED[name]
    model = families.build(name, **keys)
    assert head_of(model).adjustment == adjustment
    bare, adjusted = compare(model)
    assert (bare - adjusted).abs().max() > 0.05


@pytest.mark.slow
@pytest.mark.parametrize("name", families.FAMILIES)
def test_every_class_is_its_head_on_its_hidden_states(name):
    compare(families.build(name))


def test_a_class_without_these_keys_changes_nothing():
    adjustment = head_of(families.build("llama")).adjustment
    assert adjustment.is_none
    logits = torch.randn(3)
    assert adjustment(logits) is logits


def test_a_scale_comes_before_a_cap():
    both = adjustment_of(
        SimpleNamespace(model_type="muse", output_multiplier=0.5, final_logit_softcapping=2.0)
    )
    assert both == Adjustment(scale=0.5, cap=2.0)
    assert both(torch.tensor([4.0])).item() == pytest.approx(2 * torch.tensor(1.0).tanh().item())


def test_one_class_multiplies_where_others_divide():
    keys = {"logits_scaling": 4.0}
    assert adjustment_of(SimpleNamespace(model_type="granite", **keys)).scale == 0.25
    assert adjustment_of(SimpleNamespace(model_type="hyperclovax", **keys)).scale == 4.0
