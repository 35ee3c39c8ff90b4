from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.errors import ArtifactError, ConfigError, NotAvailableError
from musicllm.model import adapters, base
from tests.models import trained_tensors

IDS = torch.arange(12)[None]


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


def trained_names(model):
    return set(trained_tensors(model))


def test_lora_changes_nothing_at_the_start_and_trains_only_itself(model, lora):
    before = logits(model)
    adapted = adapters.attach(model, lora, seed=0)
    assert torch.equal(logits(adapted), before)
    assert len(trained_names(adapted)) == 2 * 2 * 3  # A and B, two layers, three targets
    assert all("lora_" in name for name in trained_names(adapted))


def test_the_start_depends_on_the_seed_alone(tiny, lora):
    states = []
    for seed in (3, 3, 4):
        torch.rand(7)
        model = adapters.attach(base.build(tiny, seed=0), lora, seed=seed)
        states.append(next(iter(trained_tensors(model).values())))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_global_random_state_is_left_alone(model, lora):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    adapters.attach(model, lora, seed=0)
    assert torch.equal(torch.rand(1), expected)


def test_dora_changes_nothing_at_the_start(model, lora):
    before = logits(model)
    adapted = adapters.attach(model, dataclasses.replace(lora, use_dora=True), seed=0)
    torch.testing.assert_close(logits(adapted), before, atol=1e-5, rtol=0)
    assert any("magnitude" in name for name in trained_names(adapted))


def test_embeddings_and_head_are_trained_whole(model, lora):
    both = dataclasses.replace(lora, train_embeddings=True, train_output_head=True)
    whole = {n for n in trained_names(adapters.attach(model, both, seed=0)) if "lora" not in n}
    assert whole == {
        "base_model.model.model.embed_tokens.modules_to_save.default.weight",
        "base_model.model.lm_head.modules_to_save.default.weight",
    }


@pytest.mark.parametrize("end", ["train_embeddings", "train_output_head"])
def test_tied_ends_stay_one_matrix(tied, lora, end):
    model = adapters.attach(
        base.build(tied, seed=0), dataclasses.replace(lora, **{end: True}), seed=0
    )
    state = trained_tensors(model)
    (name,) = [name for name in state if "lora" not in name]
    before = logits(model)
    state[name].mul_(2)
    both = model.base_model.model
    first, last = both.model.embed_tokens, both.lm_head
    assert first.modules_to_save["default"].weight is last.modules_to_save["default"].weight
    assert not torch.allclose(logits(model), before)


def test_trained_tensors_are_float32_over_a_bfloat16_base(tiny, lora):
    half = base.build(dataclasses.replace(tiny, dtype="bfloat16"), seed=0)
    model = adapters.attach(half, dataclasses.replace(lora, train_embeddings=True), seed=0)
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    with torch.autocast("cpu", torch.bfloat16):
        assert logits(model).isfinite().all()


def test_full_trains_all_and_none_trains_nothing(model, lora):
    adapters.attach(model, dataclasses.replace(lora, kind="full"), seed=0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    adapters.attach(model, dataclasses.replace(lora, kind="none"), seed=0)
    assert not trained_names(model)


def refused(model, spec):
    with pytest.raises(ConfigError) as caught:
        adapters.attach(model, spec, seed=0)
    return [str(problem) for problem in caught.value.problems]


def test_targets_that_are_not_there(model, lora):
    spec = dataclasses.replace(lora, target_modules=("wqkv", "q_proj", "c_attn"))
    there = "there are down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, v_proj"
    assert refused(model, spec) == [
        f"adapter.targets=wqkv is no linear layer of this model; {there}",
        f"adapter.targets=c_attn is no linear layer of this model; {there}",
    ]


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_lora_on_a_tied_end(tied, lora, end):
    spec = dataclasses.replace(lora, target_modules=(end,))
    assert refused(base.build(tied, seed=0), spec) == [
        f"adapter.targets={end} is tied to the other end of the model: merging would add its LoRA "
        "twice; leave it out, or train it whole with adapter.train_embeddings=true"
    ]


def test_a_head_trained_twice(model, lora):
    spec = dataclasses.replace(lora, target_modules=("lm_head",), train_output_head=True)
    assert refused(model, spec) == [
        "adapter.targets=lm_head would be trained twice: by LoRA and whole; "
        "leave it out, or write adapter.train_output_head=false"
    ]


def test_qlora_without_its_needs(model, lora, monkeypatch):
    monkeypatch.setattr("musicllm.model.quantization.find_spec", lambda _: None)
    with pytest.raises(NotAvailableError, match=r"needs bitsandbytes: pip install 'musicllm\[ql"):
        adapters.attach(model, dataclasses.replace(lora, quantization="nf4"), seed=0)
    monkeypatch.setattr("musicllm.model.quantization.find_spec", lambda name: name)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(NotAvailableError, match="needs a CUDA device, and there is none"):
        adapters.attach(model, dataclasses.replace(lora, quantization="nf4"), seed=0)


def test_what_was_trained_comes_back(tiny, lora):
    spec = dataclasses.replace(lora, train_embeddings=True)
    first, second = (adapters.attach(base.build(tiny, seed=0), spec, seed=s) for s in (1, 2))
    for tensor in trained_tensors(first).values():
        tensor.add_(0.1)
    adapters.load_trained(second, trained_tensors(first))
    assert torch.equal(logits(second), logits(first))


def test_state_of_another_adapter_is_refused(tiny, lora):
    model = adapters.attach(base.build(tiny, seed=0), lora, seed=0)
    state = trained_tensors(model)
    first, second, *_ = state
    foreign = {name: tensor for name, tensor in state.items() if name != first}
    foreign[second] = torch.zeros(1, 2)
    foreign["other"] = torch.zeros(1)
    with pytest.raises(ArtifactError) as caught:
        adapters.load_trained(model, foreign)
    assert str(caught.value) == (
        f"saved weights do not fit this model and adapter: {first} is missing; "
        f"other is not trained here; {second} has shape [1, 2] instead of [32, 4]"
    )


@pytest.mark.parametrize("embeddings", [False, True])
def test_saved_adapter_is_a_plain_peft_folder(tiny, lora, tmp_path, embeddings):
    from peft import PeftModel

    spec = dataclasses.replace(lora, train_embeddings=embeddings)
    model = adapters.attach(base.build(tiny, seed=0), spec, seed=0)
    for tensor in trained_tensors(model).values():
        tensor.add_(0.1)
    adapters.save_adapter(model, tmp_path)
    with adapters.quiet_peft():
        again = PeftModel.from_pretrained(base.build(tiny, seed=0), tmp_path)
    torch.testing.assert_close(logits(again), logits(model), atol=1e-6, rtol=0)
