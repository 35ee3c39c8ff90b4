"""A model is loaded whole or not at all, and what is wrong with its files is named."""

from __future__ import annotations

import json
import logging

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, MixtralConfig

from musicllm.errors import InputError
from musicllm.model import base, tensors
from tests.models import change_tensors

Q_PROJ = "model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path)
    return tmp_path


def refused(folder, **settings) -> str:
    with pytest.raises(InputError) as caught:
        base.load(folder, **{"dtype": "float32", **settings})
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({Q_PROJ: None}, f"{Q_PROJ} is missing"),
        ({"lm_head.weight": None}, "lm_head.weight is missing"),
        ({Q_PROJ: torch.zeros(3, 32)}, f"{Q_PROJ} has shape [3, 32] instead of [32, 32]"),
        (
            {"model.layers.0.W_pack.weight": torch.zeros(9, 9)},
            "model.layers.0.W_pack.weight is not known to transformers' LlamaForCausalLM; tensors "
            "that are no part of the model go into model.ignored_tensors",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(folder, changes, text, caplog):
    change_tensors(folder / "model.safetensors", **changes)
    assert refused(folder) == f"the weights of {folder} do not fit its config.json: {text}"
    assert not caplog.records  # transformers' own table would say it twice


def test_other_faults_are_counted(folder):
    names = [name for name in load_file(folder / "model.safetensors") if "layers.0" in name]
    change_tensors(folder / "model.safetensors", **dict.fromkeys(names))
    text = refused(folder)
    assert text.count(" is missing") == tensors.MAX_FAULTS
    assert text.endswith(f"is missing; and {len(names) - tensors.MAX_FAULTS} more")


def test_a_base_with_fewer_layers_than_it_says(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    assert "model.layers.2.input_layernorm.weight is missing" in refused(folder)


def test_a_tied_head_and_buffers_of_old_versions_may_be_there_or_not(tied, tmp_path):
    model = base.build(tied, seed=0)
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    assert "lm_head.weight" not in load_file(file)
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    for extra in ({}, old, {"lm_head.weight": model.lm_head.weight.detach().clone()}):
        change_tensors(file, **extra)
        again = base.load(tmp_path, dtype="float32")
        assert torch.equal(again.lm_head.weight, model.lm_head.weight)
        assert again.lm_head.weight is again.model.embed_tokens.weight


def test_a_head_that_is_not_tied_though_config_says_so(tied, tmp_path):
    base.build(tied, seed=0).save_pretrained(tmp_path)
    change_tensors(tmp_path / "model.safetensors", **{"lm_head.weight": torch.ones(64, 32)})
    assert refused(tmp_path) == tensors.untied(tmp_path)


@pytest.mark.parametrize("number", [torch.nan, -torch.inf])
def test_numbers_that_are_none(folder, number):
    stored = load_file(folder / "model.safetensors")[Q_PROJ]
    stored[3, 4] = number
    change_tensors(folder / "model.safetensors", **{Q_PROJ: stored})
    assert f"hold NaN or infinity: {Q_PROJ} in bfloat16; copy" in refused(folder, dtype="bfloat16")


def test_numbers_too_large_for_the_dtype(folder):
    change_tensors(folder / "model.safetensors", **{Q_PROJ: torch.full((32, 32), 1e5)})
    base.load(folder, dtype="float32")
    assert f"{Q_PROJ} in float16; copy them again, or take a wider dtype" in (
        refused(folder, dtype="float16")
    )


def test_files_that_were_cut_off(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert refused(folder).startswith(f"{file} is damaged: ")


def test_shards_that_are_not_there(model, tmp_path):
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert torch.equal(base.load(tmp_path, dtype="float32").lm_head.weight, model.lm_head.weight)
    file = sorted(tmp_path.glob("*.safetensors"))[1]
    file.unlink()
    assert refused(tmp_path).startswith(f"{file} is missing")


def test_pickled_weights_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert "pytorch_model.bin is a pickle, which can run code when it is read: conv" in (
        refused(folder)
    )


def test_an_expert_that_is_missing(tmp_path):
    config = MixtralConfig(
        vocab_size=16, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=2,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    assert base.load(tmp_path, dtype="float32", attention="sdpa").num_parameters()
    experts = "model.layers.0.block_sparse_moe.experts"
    change_tensors(file, **{f"{experts}.1.w1.weight": None})
    text = "model.layers.0.mlp.experts.gate_up_proj cannot be put together from its parts"
    assert text in refused(tmp_path, attention="sdpa")
    change_tensors(file, **{f"{experts}.1.w1.weight": torch.ones(8, 8)})
    change_tensors(file, **{f"{experts}.1.w2.weight": None})
    text = "model.layers.0.mlp.experts.down_proj has shape [1, 8, 8] instead of [2, 8, 8]"
    assert text in refused(tmp_path, attention="sdpa")


def test_what_else_transformers_says_is_still_heard(caplog):
    with tensors.reported("here"):
        logging.getLogger("transformers.modeling_utils").warning("beware")
    assert caplog.messages == ["beware"]


def test_errors_of_another_kind_stay_what_they_are():
    with pytest.raises(RuntimeError, match="out of memory"), tensors.reported("here"):
        raise RuntimeError("out of memory")


def test_shapes_of_linear_layers_are_compared_where_transformers_quantizes(model):
    stored = {name: list(weight.shape) for name, weight in model.state_dict().items()}
    tensors.refuse_linear_shapes("here", model, stored)
    with pytest.raises(InputError, match=r"q_proj\.weight has shape \[3, 32\] instead of \[32, 3"):
        tensors.refuse_linear_shapes("here", model, {**stored, Q_PROJ: [3, 32]})
