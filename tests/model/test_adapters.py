from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.errors import ArtifactError, ConfigError, InputError
from musicllm.model import adapters, base
from tests.model import families
from tests.models import change_tensors, trained_tensors

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
    spec = dataclasses.replace(lora, targets=("wqkv", "q_proj", "c_attn"))
    there = (
        "there are attention, mlp, down_proj, gate_proj, k_proj, lm_head, o_proj, q_proj, up_proj, "
        "v_proj"
    )
    assert refused(model, spec) == [
        f"adapter.targets=wqkv is no linear layer of this model; {there}",
        f"adapter.targets=c_attn is no linear layer of this model; {there}",
    ]


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_lora_on_a_tied_end(tied, lora, end):
    spec = dataclasses.replace(lora, targets=(end,))
    assert refused(base.build(tied, seed=0), spec) == [
        f"adapter.targets={end} is tied to the other end of the model: merging would add its LoRA "
        "twice; leave it out, or train it whole with adapter.train_embeddings=true"
    ]


def test_a_head_trained_twice(model, lora):
    spec = dataclasses.replace(lora, targets=("lm_head",), train_output_head=True)
    assert refused(model, spec) == [
        "adapter.targets=lm_head would be trained twice: by LoRA and whole; "
        "leave it out, or write adapter.train_output_head=false"
    ]


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
        f"{second} has shape [1, 2] instead of [32, 4]; other is not trained here"
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


def saved(spec, lora, folder):
    """Save an adapter whose every number has moved, and return the model."""
    model = adapters.attach(base.build(spec, seed=0), lora, seed=0)
    for tensor in trained_tensors(model).values():
        tensor.add_(0.1)
    adapters.save_adapter(model, folder)
    return model


LORA_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
EMBEDDINGS = "base_model.model.model.embed_tokens.weight"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({LORA_A: None}, f"{LORA_A} is missing"),
        ({LORA_A: torch.zeros(4, 7)}, f"{LORA_A} has shape [4, 7] instead of [4, 32]"),
        ({EMBEDDINGS: None}, f"{EMBEDDINGS} is missing"),
        ({EMBEDDINGS: torch.zeros(70, 32)}, f"{EMBEDDINGS} has shape [70, 32] instead of [64, 32]"),
        ({f"{LORA_A}.9": torch.zeros(1)}, f"{LORA_A}.9 belongs to no matrix of the base"),
    ],
)
def test_adapters_that_do_not_fit_are_not_put_on(tiny, lora, tmp_path, changes, text):
    saved(tiny, dataclasses.replace(lora, train_embeddings=True), tmp_path)
    change_tensors(tmp_path / adapters.ADAPTER_WEIGHTS, **changes)
    with pytest.raises(ArtifactError) as caught:
        adapters.load_adapter(base.build(tiny, seed=0), tmp_path)
    assert str(caught.value) == f"the adapter {tmp_path} does not fit its base: {text}"


def test_an_adapter_for_layers_that_the_base_lacks(tiny, lora, tmp_path):
    saved(tiny, lora, tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(file.read_text().replace("q_proj", "query"))
    with pytest.raises(ArtifactError, match=r"not fit its base: .*lora_A\.weight belongs to no"):
        adapters.load_adapter(base.build(tiny, seed=0), tmp_path)


def test_damaged_adapters(tiny, lora, tmp_path):
    saved(tiny, lora, tmp_path)
    file = tmp_path / adapters.ADAPTER_WEIGHTS
    change_tensors(file, **{LORA_A: torch.full((4, 32), torch.nan)})
    with pytest.raises(InputError, match=r"hold NaN or infinity: .*lora_A\.weight in float32"):
        adapters.load_adapter(base.build(tiny, seed=0), tmp_path)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"adapter_model\.safetensors is damaged: "):
        adapters.load_adapter(base.build(tiny, seed=0), tmp_path)
    file.unlink()
    with pytest.raises(InputError, match=r"adapter_model\.safetensors is missing"):
        adapters.load_adapter(base.build(tiny, seed=0), tmp_path)


@pytest.mark.parametrize("rows", [64, 70])
def test_adapters_with_whole_ends_bring_their_rows(tiny, lora, tmp_path, rows):
    spec = dataclasses.replace(lora, train_embeddings=True, train_output_head=True)
    model = saved(tiny.changed(vocab_size=rows), spec, tmp_path)
    again = adapters.load_adapter(adapters.causal_model(base_like(model, tiny)), tmp_path)
    torch.testing.assert_close(logits(again), logits(model), atol=1e-6, rtol=0)


def base_like(model, spec):
    """Return a base with the first rows of another's ends, and its other weights."""
    plain = base.build(spec, seed=0)
    state = {
        name.replace(".base_layer", "").removeprefix(adapters.PREFIX): tensor
        for name, tensor in model.state_dict().items()
    }
    plain.load_state_dict(
        {
            name: state[name][: len(tensor)] if name in state else tensor
            for name, tensor in plain.state_dict().items()
        }
    )
    return plain


def test_ends_that_peft_saved_beside_lora_are_put_on(tiny, lora, tmp_path):
    model = saved(tiny, lora, tmp_path)
    moved = {EMBEDDINGS: torch.ones(64, 32)}
    change_tensors(tmp_path / adapters.ADAPTER_WEIGHTS, **moved)
    again = adapters.load_adapter(base.build(tiny, seed=0), tmp_path)
    assert torch.equal(again.get_input_embeddings().weight, moved[EMBEDDINGS])
    assert not torch.equal(model.get_input_embeddings().weight, moved[EMBEDDINGS])


def test_a_pickled_adapter_is_refused_with_a_way_out(tiny, lora, tmp_path):
    adapted = adapters.attach(base.build(tiny, seed=0), lora, seed=0)
    adapters.save_adapter(adapted, tmp_path)
    (tmp_path / "adapter_model.safetensors").rename(tmp_path / "adapter_model.bin")
    with pytest.raises(
        InputError, match=r"is missing; .*; adapter_model\.bin is a pickle, which can"
    ):
        adapters.load_adapter(base.build(tiny, seed=0), tmp_path)


@pytest.mark.parametrize("name", ["gpt2", "bloom", "falcon"])
def test_tied_embeddings_that_peft_would_not_tie(name, lora):
    model = families.build(name)
    spec = dataclasses.replace(lora, targets=("attention",), train_embeddings=True)
    with pytest.raises(ConfigError, match=r"train_embeddings=True trains tied embeddings, which P"):
        adapters.attach(model, spec, seed=0)
    adapters.attach(model, dataclasses.replace(spec, train_embeddings=False), seed=0)
