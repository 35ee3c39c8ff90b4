"""InternLM2 as Llama, against the forward pass of `internlm2_folders`."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoConfig, LlamaForCausalLM

from musicllm.errors import InputError, NotAvailableError
from musicllm.model import internlm2, published
from musicllm.model.checkpoint import lazy, open_weights
from tests.model import internlm2_folders as folders

IDS = torch.randint(0, 64, (40,), generator=torch.Generator().manual_seed(3))
KINDS = {
    "as published": {},
    "biases": {"bias": True},
    "one key-value head for all": {"num_key_value_heads": 1},
    "a key-value head for each": {"num_key_value_heads": 8, "rope_scaling": None},
    "tied": {"tie_word_embeddings": True},
    "linear positions": {"rope_scaling": {"type": "linear", "factor": 4.0}},
    "longer than it was trained": {"max_position_embeddings": 16},
}


def as_llama(folder):
    """Return transformers' Llama with the weights of an InternLM2 folder."""
    keys = internlm2.as_llama(published.read(folder))
    config = AutoConfig.for_model(keys.pop("model_type"), **keys)
    model, info = LlamaForCausalLM.from_pretrained(
        None,
        config=config,
        state_dict=lazy(open_weights(folder)),
        dtype=torch.float32,
        attn_implementation="eager",
        output_loading_info=True,
    )
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    return model.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_llama_computes_what_internlm2_computes(tmp_path, kind):
    folder = folders.write(tmp_path, **KINDS[kind])
    with torch.no_grad():
        ours = as_llama(folder)(input_ids=IDS[None]).logits[0]
    torch.testing.assert_close(ours, folders.logits(folder, IDS), atol=2e-4, rtol=1e-4)


def test_a_key_that_is_missing_means_what_internlm2_means():
    keys = internlm2.as_llama({"model_type": "internlm2", "rope_scaling": None})
    assert keys["attention_bias"] is True
    assert keys["vocab_size"] == 103168
    assert keys["rope_parameters"] == {"rope_type": "default", "rope_theta": 10000.0}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"rope_scaling": {"type": "yarn", "factor": 2.0}},
            r"rope_scaling=.*'yarn'.* not supp",
        ),
        ({"rope_pos_id_version": "v2"}, r"rope_pos_id_version=v2, which is not supported"),
    ],
)
def test_other_rotations_are_refused(keys, message):
    with pytest.raises(NotAvailableError, match=message):
        internlm2.as_llama(folders.CONFIG | keys)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["as published", "biases", "one key-value head for all"])
def test_weights_go_there_and_back_bit_for_bit(tmp_path, kind, dtype):
    folder = folders.write(tmp_path, dtype=dtype, **KINDS[kind])
    weights = open_weights(folder)
    back = {}
    restacker = internlm2.Restacker(published.read(folder), back.__setitem__)
    for name in weights.shapes:
        assert weights.dtype(name) == dtype
        tensor = weights.read(name)
        assert list(tensor.shape) == weights.shapes[name]
        restacker.add(name, tensor)
    restacker.close()
    stored = folders.tensors_of(folder)
    assert back.keys() == stored.keys()
    for name, tensor in stored.items():
        assert back[name].dtype == dtype
        assert torch.equal(back[name].view(torch.uint8), tensor.view(torch.uint8)), name


def test_the_rows_of_a_stack_are_those_of_its_groups(tmp_path):
    folder = folders.write(tmp_path)
    weights = open_weights(folder)
    stacked = folders.tensors_of(folder)["model.layers.1.attention.wqkv.weight"]
    rows = stacked.split(4)  # 8 heads of 4 features; in each of 2 groups 4 queries, key and value
    for part, numbers in {"q": [0, 1, 2, 3, 6, 7, 8, 9], "k": [4, 10], "v": [5, 11]}.items():
        found = weights.read(f"model.layers.1.self_attn.{part}_proj.weight")
        assert torch.equal(found, torch.cat([rows[number] for number in numbers]))


def test_nothing_is_read_before_its_turn(tmp_path, monkeypatch):
    folder = folders.write(tmp_path)
    read = []
    weights = open_weights(folder)
    monkeypatch.setattr(weights._files, "read", lambda name: read.append(name) or torch.zeros(1))
    state = lazy(weights)
    assert state["lm_head.weight"].get_shape() == [64, 32]
    assert not read
    assert torch.equal(state["lm_head.weight"][...], torch.zeros(1))
    assert read == ["output.weight"]


def test_a_stack_of_another_size_is_named(tmp_path):
    folder = folders.write(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_key_value_heads": 4}))
    with pytest.raises(
        InputError, match=r"layers\.0\.attention\.wqkv\.weight has 48 rows instead of 64"
    ):
        open_weights(folder)


def test_tensors_that_neither_has_keep_their_names(tmp_path):
    name = "model.layers.0.attention.rotary_emb.inv_freq"
    assert internlm2.targets_of(name) == [name]
    assert internlm2.origin_of("v_head.weight") == ("v_head.weight", None)


def test_config_json_is_needed(tmp_path):
    folder = folders.write(tmp_path)
    (folder / "config.json").write_text("[]")
    with pytest.raises(InputError, match=r"config\.json does not say model_type"):
        open_weights(folder)
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"cannot be read as a model; it needs config"):
        open_weights(folder)
