"""LoRA on every class: what is adapted, saved, loaded and merged again."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from musicllm.errors import ConfigError
from musicllm.model import adapters, base, size
from musicllm.model.anatomy import inspect
from musicllm.model.merge import merge
from musicllm.model.spec import ModelSpec
from musicllm.model.weights import WeightFiles
from tests.model import families
from tests.models import LORA, trained_tensors

IDS = list(range(5, 60))
BOTH = dataclasses.replace(LORA, targets=("attention", "mlp"))
KINDS = [*families.ONE_OF_EACH_KIND]
ALL = [
    name if name in KINDS else pytest.param(name, marks=pytest.mark.slow)
    for name in families.FAMILIES
]
NOT_MERGED = {"llama4": "looks at weights before it uses them"}


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([IDS]), use_cache=False).logits[0]


def load(folder):
    return base.load(folder, dtype="float32", attention="eager")


def trained(folder, adapter, name):
    """Save base and adapter with every trained number moved, and return the adapted model."""
    families.write(folder / "base", name)
    adapted = adapters.attach(load(folder / "base"), adapter, seed=1, run=folder)
    generator = torch.Generator().manual_seed(2)
    for tensor in trained_tensors(adapted).values():
        tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.05)
    adapters.save_adapter(adapted, folder / "adapter", run=folder)
    families.tokenizer().save_pretrained(folder / "adapter")
    return adapted


def merged(folder, dtype="auto"):
    (folder / "merged").mkdir()
    return merge(
        folder / "base", folder / "adapter", folder / "merged",
        dtype=dtype, max_shard_gb=1, check_ids=IDS,
    )  # fmt: skip


@pytest.mark.parametrize("name", ALL)
def test_what_is_trained_is_saved_loaded_and_merged(tmp_path, name):
    adapter = dataclasses.replace(LORA, targets=("attention",)) if name == "mamba2" else BOTH
    adapted = trained(tmp_path, adapter, name)
    expected = logits(adapted)
    loaded = adapters.load_adapter(load(tmp_path / "base"), tmp_path / "adapter")
    torch.testing.assert_close(logits(loaded), expected, atol=1e-5, rtol=0)
    if name in NOT_MERGED:
        with pytest.raises(Exception, match=NOT_MERGED[name]):
            merged(tmp_path)
        return
    report = merged(tmp_path)
    torch.testing.assert_close(logits(load(tmp_path / "merged")), expected, atol=2e-4, rtol=0)
    assert report.max_abs_difference < report.tolerance < report.max_abs_effect
    before = WeightFiles.of_model(tmp_path / "base")
    after = WeightFiles.of_model(tmp_path / "merged")
    assert before.shapes == after.shapes
    changed = {n for n in after.shapes if not torch.equal(before.read(n), after.read(n))}
    matrices = adapters.target_matrices(inspect(load(tmp_path / "base")), adapter)
    plain = {f"{matrix.path}.weight" for matrix in matrices if not matrix.is_expert}
    assert plain & before.shapes.keys() <= changed
    assert not any("norm" in name or "embed" in name for name in changed)


@pytest.mark.parametrize("name", ALL)
def test_parameters_are_counted(name):
    spec = ModelSpec(
        name, None, None, families.published(name, pad_token_id=0), "float32", False, ()
    )
    adapter = dataclasses.replace(LORA, targets=("attention",)) if name == "mamba2" else BOTH
    adapted = adapters.attach(families.build(name), adapter, seed=0)
    counted = size.count(spec, adapter)
    assert counted.num_trainable == sum(t.numel() for t in trained_tensors(adapted).values())


def test_llamas_settings_name_the_ends_of_layers_only(tmp_path):
    trained(tmp_path, BOTH, "llama")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert sorted(saved["target_modules"]) == [
        "down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj",
    ]  # fmt: skip
    assert not saved["target_parameters"]
    assert saved["fan_in_fan_out"] is False


def test_a_name_that_two_parts_share_gets_longer(tmp_path):
    attention = dataclasses.replace(LORA, targets=("attention",))
    trained(tmp_path, attention, "gpt2")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert sorted(saved["target_modules"]) == ["attn.c_proj", "c_attn"]
    assert saved["fan_in_fan_out"] is True


def test_experts_and_what_stands_beside_them_are_adapted_as_tensors(tmp_path):
    adapted = trained(tmp_path, BOTH, "deepseek_v3")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert sorted(saved["target_parameters"]) == [
        "down_proj", "down_proj.weight", "gate_proj.weight", "gate_up_proj", "up_proj.weight",
    ]  # fmt: skip
    names = {name for name in trained_tensors(adapted) if "layers.1.mlp" in name}
    assert {name.partition("layers.1.mlp.")[2].partition(".lora")[0] for name in names} == {
        "experts", "experts.base_layer", "shared_experts.gate_proj", "shared_experts.up_proj",
        "shared_experts.down_proj",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dropout": 0.1}, "adapter.dropout=0.1 cannot act on the input of Qwen3MoeForCausalLM's"),
        ({"use_dora": True}, "adapter.use_dora=true is not available for Qwen3MoeForCausalLM's"),
        ({"init": "pissa"}, "adapter.init=pissa is not available for Qwen3MoeForCausalLM's"),
        ({"quantization": "nf4"}, "adapter.quantization=nf4 is for linear layers, and the experts"),
        ({"targets": ("gate",)}, "adapter.targets=gate chooses experts and is not adapted"),
    ],
)
def test_what_experts_do_not_allow_is_named(settings, text):
    with pytest.raises(ConfigError) as caught:
        adapters.attach(families.build("qwen3_moe"), dataclasses.replace(BOTH, **settings), seed=0)
    assert text in str(caught.value)


def test_attention_beside_experts_takes_every_setting(tmp_path):
    dora = dataclasses.replace(LORA, targets=("attention",), dropout=0.1, use_dora=True)
    expected = logits(trained(tmp_path, dora, "qwen3_moe"))
    merged(tmp_path)
    torch.testing.assert_close(logits(load(tmp_path / "merged")), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("settings", [{"use_dora": True}, {"init": "pissa"}])
@pytest.mark.parametrize("name", ["gpt2", "phi3"])
def test_dora_and_pissa_on_other_layouts(tmp_path, name, settings):
    expected = logits(trained(tmp_path, dataclasses.replace(BOTH, **settings), name))
    merged(tmp_path)
    torch.testing.assert_close(logits(load(tmp_path / "merged")), expected, atol=2e-4, rtol=0)


def test_layers_that_kernels_read_are_left_out_of_parts_and_refused_by_name():
    anatomy = inspect(families.build("jamba"))
    names = {matrix.name for matrix in adapters.target_matrices(anatomy, BOTH)}
    assert "dt_proj" not in names
    assert {"in_proj", "x_proj", "q_proj"} <= names
    by_name = dataclasses.replace(LORA, targets=("dt_proj",))
    with pytest.raises(ConfigError, match="dt_proj is read by JambaForCausalLM's kernels past"):
        adapters.attach(families.build("jamba"), by_name, seed=0)


@pytest.mark.parametrize("name", ["mixtral", "gpt_oss"])
def test_rounding_may_not_choose_other_experts_in_the_comparison(tmp_path, name):
    trained(tmp_path, BOTH, name)
    report = merged(tmp_path, "bfloat16")
    assert report.max_abs_difference < report.tolerance
