from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from musicllm.errors import ArtifactError
from musicllm.model import adapters, base, pissa
from tests.model.merging import logits, merged, weights_of
from tests.models import letter_tokenizer, trained_tensors


def pissa_of(lora, **settings):
    return dataclasses.replace(lora, init="pissa", **settings)


def test_the_principal_part_moves_and_the_outputs_stay(model, tiny, lora, tmp_path):
    before = logits(model)
    plain = dict(base.build(tiny, seed=0).named_parameters())
    adapted = adapters.attach(model, pissa_of(lora), seed=0, run=tmp_path)
    torch.testing.assert_close(logits(adapted), before, atol=1e-4, rtol=0)
    layer = adapted.base_model.model.model.layers[0].self_attn.q_proj
    whole = plain["model.layers.0.self_attn.q_proj.weight"]
    left, values, right = torch.linalg.svd(whole)
    part = layer.get_delta_weight("default")
    torch.testing.assert_close(
        part, left[:, :4] * values[:4] @ right[:4], atol=1e-4, rtol=0, check_stride=False
    )
    torch.testing.assert_close(layer.base_layer.weight + part, whole, atol=1e-5, rtol=0)
    untouched = adapted.base_model.model.model.layers[0].self_attn.k_proj.weight
    assert torch.equal(untouched, plain["model.layers.0.self_attn.k_proj.weight"])


def test_a_run_that_continues_takes_the_same_part(tiny, lora, tmp_path):
    models = [
        adapters.attach(base.build(tiny, seed=0), pissa_of(lora), seed=seed, run=tmp_path)
        for seed in (0, 1)
    ]
    for (name, first), second in zip(
        models[0].named_parameters(), models[1].parameters(), strict=True
    ):
        assert torch.equal(first, second), name


def test_the_start_of_another_adapter_is_refused(tiny, lora, tmp_path):
    adapters.attach(base.build(tiny, seed=0), pissa_of(lora), seed=0, run=tmp_path)
    with pytest.raises(ArtifactError, match=r"pissa.safetensors is the start of another adapter"):
        adapters.attach(base.build(tiny, seed=0), pissa_of(lora, r=8), seed=0, run=tmp_path)


def test_a_rank_above_the_size_of_a_matrix(tiny, lora, tmp_path):
    before = logits(base.build(tiny, seed=0))
    adapter = pissa_of(lora, r=40)  # v_proj has 16 outputs
    adapted = adapters.attach(base.build(tiny, seed=0), adapter, seed=0, run=tmp_path)
    torch.testing.assert_close(logits(adapted), before, atol=1e-4, rtol=0)


@pytest.mark.parametrize("settings", [{}, {"scaling": "rslora"}, {"use_dora": True}])
def test_what_is_saved_is_lora_for_the_unchanged_base(tiny, lora, tmp_path, settings):
    model = base.build(tiny, seed=0)
    model.save_pretrained(tmp_path / "base")
    adapted = adapters.attach(model, pissa_of(lora, **settings), seed=1, run=tmp_path)
    generator = torch.Generator().manual_seed(2)
    for tensor in trained_tensors(adapted).values():
        tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.1)
    expected = logits(adapted)
    adapters.save_adapter(adapted, tmp_path / "adapter", run=tmp_path)
    letter_tokenizer().save_pretrained(tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (saved["r"], saved["init_lora_weights"]) == (8, True)
    plain = base.load(tmp_path / "base", dtype="float32")
    loaded = adapters.load_adapter(plain, tmp_path / "adapter")
    torch.testing.assert_close(logits(loaded), expected, atol=2e-4, rtol=0)
    report = merged(tmp_path)
    found = base.load(tmp_path / "merged", dtype="float32")
    torch.testing.assert_close(logits(found), expected, atol=2e-4, rtol=0)
    assert report.max_abs_difference < report.tolerance < report.max_abs_effect
    key = "model.layers.0.self_attn.k_proj.weight"
    assert torch.equal(weights_of(tmp_path / "merged")[key], weights_of(tmp_path / "base")[key])


def test_the_start_is_written_by_one_process_only(tiny, lora, tmp_path):
    adapters.attach(base.build(tiny, seed=0), pissa_of(lora), seed=0, run=tmp_path, writes=False)
    assert not (tmp_path / pissa.FILE).exists()
