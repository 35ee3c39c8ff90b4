from __future__ import annotations

import dataclasses

import pytest
import torch

from musicllm.errors import InputError, StageError
from musicllm.model import adapters, base
from musicllm.model.merge import TOLERANCES, merge

IDS = list(range(2, 30))


@pytest.fixture
def folders(tmp_path):
    made = [tmp_path / name for name in ("base", "adapter", "merged")]
    for folder in made:
        folder.mkdir()
    return made


def train(spec, adapter, tokenizer, folders):
    """Save a base, and an adapter whose every trained number has moved."""
    model = base.build(spec, seed=0)
    model.save_pretrained(folders[0])
    adapted = adapters.attach(model, adapter, seed=1)
    generator = torch.Generator().manual_seed(2)
    for weight in adapted.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
    adapters.save_adapter(adapted, folders[1])
    tokenizer.save_pretrained(folders[1])
    with torch.no_grad():
        return adapted.eval()(input_ids=torch.tensor([IDS])).logits[0]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_merged_folder_gives_the_logits_of_base_and_adapter(
    tiny, lora, tokenizer, folders, tied, use_dora, whole
):
    adapter = dataclasses.replace(
        lora, use_dora=use_dora, train_embeddings=whole, train_output_head=whole
    )
    spec = dataclasses.replace(tiny, tie_word_embeddings=tied)
    expected = train(spec, adapter, tokenizer, folders)
    report = merge(
        folders[0], folders[1], folders[2], dtype="float32", max_shard_gb=1, check_ids=IDS
    )
    with torch.no_grad():
        found = base.load(folders[2], dtype="float32")(input_ids=torch.tensor([IDS])).logits[0]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert report.max_abs_difference < report.tolerance < 0.1 < report.max_abs_effect
    assert report.same_top_token == 1.0
    assert report.num_positions == 28


def test_merged_folder_is_plain_and_complete(tiny, lora, tokenizer, folders):
    tokenizer.chat_template = "{{ messages[0]['content'] }}"
    train(tiny, lora, tokenizer, folders)
    report = merge(
        folders[0], folders[1], folders[2], dtype="bfloat16", max_shard_gb=1, check_ids=IDS
    )
    config = base.load_config(folders[2])
    assert config.dtype == torch.bfloat16
    assert 1e-4 < report.max_abs_difference < report.tolerance
    assert report.max_abs_difference_unrounded < 1e-4
    assert config.eos_token_id == tokenizer.eos_token_id
    again = base.load_tokenizer(folders[2])
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.chat_template == tokenizer.chat_template
    assert not (folders[2] / "adapter_config.json").exists()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merge_that_changes_logits_is_refused(tiny, lora, tokenizer, folders, monkeypatch, dtype):
    train(tiny, lora, tokenizer, folders)
    monkeypatch.setattr("peft.tuners.lora.Linear.merge", lambda self: None)
    with pytest.raises(StageError, match=r"differs from .*: logits by up to .*, where float32"):
        merge(folders[0], folders[1], folders[2], dtype=dtype, max_shard_gb=1, check_ids=IDS)


def test_a_rounding_too_coarse_is_refused(tiny, lora, tokenizer, folders, monkeypatch):
    train(tiny, lora, tokenizer, folders)
    monkeypatch.setitem(TOLERANCES, "bfloat16", 1e-6)
    with pytest.raises(StageError, match=r"logits by up to .*, where bfloat16 explains"):
        merge(folders[0], folders[1], folders[2], dtype="bfloat16", max_shard_gb=1, check_ids=IDS)


def test_a_folder_without_an_adapter(tokenizer, folders):
    tokenizer.save_pretrained(folders[1])
    with pytest.raises(InputError, match=r"is not an adapter: it has no adapter_config\.json"):
        merge(folders[0], folders[1], folders[2], dtype="float32", max_shard_gb=1, check_ids=IDS)
