"""What is missing or does not fit is named, before anything is written."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from musicllm.errors import InputError
from musicllm.model import base
from tests.model.merging import merged, train
from tests.models import change_tensors as change

Q_PROJ = "model.layers.0.self_attn.q_proj.weight"
LORA_A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.fixture
def made(tiny, lora, tmp_path):
    train(tmp_path, tiny, lora)
    return tmp_path


def refused(folder) -> str:
    with pytest.raises(InputError) as caught:
        merged(folder)
    assert not list((folder / "merged").iterdir())
    return str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({Q_PROJ: None}, f"does not fit: {Q_PROJ} is missing"),
        ({Q_PROJ: torch.zeros(3, 32)}, f"{Q_PROJ} has shape [3, 32] instead of [32, 32]"),
        (
            {"model.layers.0.self_attn.W_pack.weight": torch.zeros(96, 32)},
            "model.layers.0.self_attn.W_pack.weight is not known to transformers' LlamaForCausalLM",
        ),
    ],
)
def test_bases_that_do_not_fit(made, tensors, text):
    change(made / "base" / "model.safetensors", **tensors)
    assert text in refused(made)


def test_a_value_head_that_is_named_is_left_out(made):
    change(made / "base" / "model.safetensors", **{"v_head.weight": torch.ones(1, 32)})
    with pytest.raises(InputError, match=r"v_head\.weight is not known to transformers'"):
        merged(made)
    (made / "merged").rmdir()
    merged(made, ignored_tensors=[r"^v_head\."])
    assert "v_head.weight" not in load_file(made / "merged" / "model.safetensors")


def test_tensors_that_transformers_no_longer_stores_are_left_out(made):
    old = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    change(made / "base" / "model.safetensors", **old)
    merged(made)
    assert not old.keys() & load_file(made / "merged" / "model.safetensors").keys()


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({LORA_A: None}, f"does not fit: {LORA_A} is missing"),
        ({LORA_A: torch.zeros(4, 7)}, f"{LORA_A} has shape [4, 7] instead of [4, 32]"),
        (
            {"base_model.model.model.layers.9.mlp.up_proj.lora_A.weight": torch.zeros(4, 32)},
            "layers.9.mlp.up_proj.lora_A.weight belongs to no matrix of the base",
        ),
    ],
)
def test_adapters_that_do_not_fit(made, tensors, text):
    change(made / "adapter" / "adapter_model.safetensors", **tensors)
    assert text in refused(made)


@pytest.mark.parametrize("part", ["base/model", "adapter/adapter_model"])
def test_numbers_that_are_none(made, part):
    name = Q_PROJ if part.startswith("base") else LORA_A
    file = made / f"{part}.safetensors"
    change(file, **{name: torch.full_like(load_file(file)[name], torch.inf)})
    assert refused(made) == (
        f"the weights of {file.parent} hold NaN or infinity: {name} in float32; copy them again, "
        f"or take a wider dtype where float16 is too narrow for them"
    )


def test_a_head_that_is_not_tied_though_the_base_says_so(tied, lora, tmp_path):
    train(tmp_path, tied, lora)
    change(tmp_path / "base" / "model.safetensors", **{"lm_head.weight": torch.ones(64, 32)})
    assert "says tie_word_embeddings=true, but the files hold a head that differs" in (
        refused(tmp_path)
    )


def test_many_faults_are_counted(made):
    left = {name: None for name in load_file(made / "base" / "model.safetensors") if "mlp" in name}
    change(made / "base" / "model.safetensors", **left)
    assert refused(made).endswith("is missing; and 1 more")


def test_an_adapter_of_another_kind(made):
    file = made / "adapter" / "adapter_config.json"
    file.write_text(json.dumps({"peft_type": "LOHA", "task_type": "CAUSAL_LM"}))
    assert "is of kind LOHA; only LoRA can be merged" in refused(made)


def test_weights_of_a_type_that_no_merged_model_has(made):
    file = made / "base" / "model.safetensors"
    change(file, **{name: tensor.double() for name, tensor in load_file(file).items()})
    with pytest.raises(InputError, match=r"stores its weights as float64; .* merge\.dtype=float32"):
        merged(made, dtype="auto")


def test_more_tokens_than_embeddings(made, tokenizer):
    tokenizer.add_tokens(["<music>"])
    tokenizer.save_pretrained(made / "adapter")
    assert "has 65 tokens, but the embeddings have only 64 rows" in refused(made)


def test_a_file_that_was_cut_off(made):
    file = made / "base" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    text = refused(made)
    assert str(file) in text
    assert "is damaged: " in text


def test_no_weights_at_all(made):
    (made / "base" / "model.safetensors").unlink()
    assert "has no weights: neither model.safetensors nor model.safetensors.index.json" in (
        refused(made)
    )


@pytest.fixture
def sharded(made):
    model = base.load(made / "base", dtype="float32")
    (made / "base" / "model.safetensors").unlink()
    model.save_pretrained(made / "base", max_shard_size="20KB")
    return made


def test_a_missing_shard(sharded):
    file = sorted((sharded / "base").glob("*.safetensors"))[1]
    file.unlink()
    assert refused(sharded).startswith(f"{file} is missing")


def test_a_shard_without_what_the_index_says(sharded):
    index = json.loads((sharded / "base" / "model.safetensors.index.json").read_text())
    file = sharded / "base" / index["weight_map"][Q_PROJ]
    change(file, **{Q_PROJ: None})
    assert refused(sharded) == f"{file} has no tensor {Q_PROJ}, though the index says so"


def test_an_index_that_is_none(sharded):
    (sharded / "base" / "model.safetensors.index.json").write_text("[]")
    assert "is not an index of shards" in refused(sharded)
