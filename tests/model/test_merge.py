from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from musicllm.errors import InputError, NotAvailableError, StageError
from musicllm.model import base
from musicllm.model.merge import TOLERANCES
from tests.model.merging import (
    IDS,
    by_peft,
    change_adapter,
    logits,
    merged,
    same,
    train,
    weights_of,
    with_ends,
)
from tests.models import change_tensors


@pytest.mark.parametrize("is_tied", [False, True])
@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_merged_folder_is_what_peft_makes_of_base_and_adapter(
    tiny, lora, tmp_path, is_tied, use_dora, whole
):
    adapter = dataclasses.replace(with_ends(lora) if whole else lora, use_dora=use_dora)
    expected = logits(train(tmp_path, tiny.changed(tie_word_embeddings=is_tied), adapter))
    report = merged(tmp_path)
    found = base.load(tmp_path / "merged", dtype="float32")
    torch.testing.assert_close(logits(found), expected, atol=1e-4, rtol=0)
    same(weights_of(tmp_path / "merged"), by_peft(tmp_path), is_tied)
    assert found.config.tie_word_embeddings is is_tied
    assert report.max_abs_difference < report.tolerance < 0.1 < report.max_abs_effect
    assert report.same_top_token == 1.0
    assert report.num_positions == 28
    assert report.num_parameters == found.num_parameters()


def test_every_kind_of_lora_is_merged_by_its_own_arithmetic(tiny, lora, tmp_path):
    train(tmp_path, tiny, lora)
    change_adapter(tmp_path, use_rslora=True, alpha_pattern={"q_proj": 2})
    report = merged(tmp_path)
    same(weights_of(tmp_path / "merged"), by_peft(tmp_path))
    assert report.max_abs_difference < report.tolerance


def test_biases_and_a_head_with_lora(tiny, lora, tmp_path):
    adapter = dataclasses.replace(lora, targets=("q_proj", "lm_head"))
    train(tmp_path, tiny, adapter)
    model = base.load(tmp_path / "base", dtype="float32")
    model.config.attention_bias = True
    biased = type(model)(model.config)
    biased.load_state_dict(model.state_dict(), strict=False)
    for name, weight in biased.named_parameters():
        if name.endswith(".bias"):
            weight.data.uniform_(0, 1, generator=torch.Generator().manual_seed(3))
    biased.save_pretrained(tmp_path / "base")
    report = merged(tmp_path)
    assert "model.layers.0.self_attn.q_proj.bias" in weights_of(tmp_path / "merged")
    same(weights_of(tmp_path / "merged"), by_peft(tmp_path))
    assert report.max_abs_difference < report.tolerance


@pytest.mark.parametrize("is_tied", [False, True])
def test_a_resized_vocabulary_survives(tiny, lora, tmp_path, is_tied):
    spec = tiny.changed(tie_word_embeddings=is_tied)
    expected = logits(train(tmp_path, spec, with_ends(lora), num_tokens=70))
    report = merged(tmp_path)
    found = base.load(tmp_path / "merged", dtype="float32")
    assert found.config.vocab_size == 70
    torch.testing.assert_close(logits(found), expected, atol=1e-4, rtol=0)
    resized = base.load(tmp_path / "base", dtype="float32")
    resized.resize_token_embeddings(70)
    same(weights_of(tmp_path / "merged"), by_peft(tmp_path, resized), is_tied)
    assert report.max_abs_difference < report.tolerance


def test_a_resized_vocabulary_needs_a_trained_head(tiny, lora, tmp_path):
    train(tmp_path, tiny, dataclasses.replace(lora, train_embeddings=True), num_tokens=70)
    with pytest.raises(
        InputError, match=r"does not fit: lm_head\.weight has shape \[64, 32\] instead of \[70, 32"
    ):
        merged(tmp_path)


def test_shards_go_in_and_out(tiny, lora, tmp_path):
    train(tmp_path, dataclasses.replace(tiny, dtype="bfloat16"), with_ends(lora))
    whole = base.load(tmp_path / "base", dtype="bfloat16")
    (tmp_path / "base" / "model.safetensors").unlink()
    whole.save_pretrained(tmp_path / "base", max_shard_size="10KB")
    assert len(list((tmp_path / "base").glob("model-*.safetensors"))) > 2
    report = merged(tmp_path, dtype="float32", max_shard_gb=1e-5)
    shards = sorted(file.name for file in (tmp_path / "merged").glob("*.safetensors"))
    assert len(shards) == report.num_shards > 2
    assert shards[0] == f"model-00001-of-{len(shards):05}.safetensors"
    index = json.loads((tmp_path / "merged" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(shards)
    assert index["metadata"]["total_size"] == 4 * report.num_parameters == report.num_bytes
    same(weights_of(tmp_path / "merged"), by_peft(tmp_path))
    found = base.load(tmp_path / "merged", dtype="float32")
    same(dict(found.state_dict()), by_peft(tmp_path))


@pytest.mark.parametrize(
    ("asked", "stored"), [("auto", "bfloat16"), ("float16", "float16"), ("float32", "float32")]
)
def test_the_type_is_the_bases_own_or_chosen(tiny, lora, tmp_path, asked, stored):
    train(tmp_path, dataclasses.replace(tiny, dtype="bfloat16"), lora)
    report = merged(tmp_path, dtype=asked)
    assert report.dtype == stored
    assert base.load_config(tmp_path / "merged").dtype == getattr(torch, stored)
    found = weights_of(tmp_path / "merged")
    assert {str(tensor.dtype) for tensor in found.values()} == {f"torch.{stored}"}
    assert report.max_abs_difference < report.tolerance


def test_merged_folder_is_plain_and_complete(tiny, lora, tokenizer, tmp_path):
    train(tmp_path, tiny, lora)
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    tokenizer.save_pretrained(tmp_path / "adapter")
    generation = {"do_sample": True, "temperature": 0.2, "top_k": 40}
    (tmp_path / "base" / "generation_config.json").write_text(json.dumps(generation))
    report = merged(tmp_path, dtype="bfloat16")
    config = base.load_config(tmp_path / "merged")
    assert config.architectures == ["LlamaForCausalLM"]
    assert 1e-4 < report.max_abs_difference < report.tolerance
    assert report.max_abs_difference_unrounded < 1e-4
    assert config.eos_token_id == tokenizer.eos_token_id
    again = base.load_tokenizer(tmp_path / "merged")
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.chat_template == tokenizer.chat_template
    saved = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert {**saved, **generation, "eos_token_id": 1} == saved
    assert sorted(file.name for file in (tmp_path / "merged").iterdir()) == [
        "chat_template.jinja", "config.json", "generation_config.json", "model.safetensors",
        "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merge_that_changes_logits_is_refused(tiny, lora, tmp_path, monkeypatch, dtype):
    train(tmp_path, tiny, lora)
    monkeypatch.setattr("peft.tuners.lora.Linear.merge", lambda _: None)
    with pytest.raises(StageError, match=r"differs from .*: logits by up to .*, where float32"):
        merged(tmp_path, dtype=dtype)


def test_a_rounding_too_coarse_is_refused(tiny, lora, tmp_path, monkeypatch):
    train(tmp_path, tiny, lora)
    monkeypatch.setitem(TOLERANCES, "bfloat16", 1e-6)
    monkeypatch.setattr("musicllm.model.merge.report.LOST_SHARE", 1e-6)
    with pytest.raises(StageError, match=r"in bfloat16 the merged .* or float16"):
        merged(tmp_path, dtype="bfloat16")


def test_numbers_too_large_for_the_type_are_refused(tiny, lora, tmp_path):
    train(tmp_path, tiny, lora)
    change_adapter(tmp_path, lora_alpha=1e7)
    with pytest.raises(StageError, match=r"logits by up to (nan|inf), .*dtype=float32$"):
        merged(tmp_path, dtype="float16")


def test_a_folder_without_an_adapter(tiny, lora, tmp_path):
    train(tmp_path, tiny, lora)
    (tmp_path / "adapter" / "adapter_config.json").unlink()
    with pytest.raises(InputError, match=r"is not an adapter: it has no adapter_config\.json"):
        merged(tmp_path)


def test_a_base_that_cannot_be_reached(tiny, lora, tmp_path, monkeypatch):
    train(tmp_path, tiny, lora)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (tmp_path / "merged").mkdir()
    from musicllm.model.merge import merge

    with pytest.raises(NotAvailableError, match="neither a folder here nor a repository"):
        merge(
            "nobody/nothing", tmp_path / "adapter", tmp_path / "merged",
            dtype="auto", max_shard_gb=1, check_ids=IDS,
        )  # fmt: skip


def test_ends_that_peft_saved_beside_lora_are_merged(tiny, lora, tmp_path):
    train(tmp_path, tiny, lora)
    moved = torch.full((64, 32), 0.5)
    names = ("model.embed_tokens.weight", "lm_head.weight")
    change_tensors(
        tmp_path / "adapter" / "adapter_model.safetensors",
        **{f"base_model.model.{name}": moved.clone() for name in names},
    )
    merged(tmp_path)
    found = weights_of(tmp_path / "merged")
    assert all(torch.equal(found[name], moved) for name in names)
    same(found, by_peft(tmp_path))
