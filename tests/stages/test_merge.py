from __future__ import annotations

import json

import pytest
import torch

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, ConfigError, InputError, NotAvailableError
from musicllm.job import Job
from musicllm.model import adapters, base
from musicllm.stages import merge
from tests.models import LORA, TINY, letter_tokenizer


@pytest.fixture
def made(tmp_path):
    """A base and an adapter as the train stage leaves them."""
    folder = tmp_path / "pretrain"
    with artifacts.writing(folder, "model", "base", {}) as (target, _):
        base.build(TINY, seed=0).save_pretrained(target)
    model = adapters.attach(base.load(folder, dtype="float32"), LORA, seed=1)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.05
    provenance = {"inputs": {"model": {"path": str(folder)}}}
    with artifacts.writing(tmp_path / "sft", "adapter", "adapter", provenance) as (target, _):
        adapters.save_adapter(model, target)
        letter_tokenizer().save_pretrained(target)
    return {"base": artifacts.read(folder), "adapter": artifacts.read(tmp_path / "sft")}


def job(tmp_path, monkeypatch, quantized_base="full_precision", other=False, **inputs):
    monkeypatch.setattr(Job, "provenance", lambda _: {"made": "in a test"})
    config, _ = configuration.load(
        [
            "recipe=merge",
            f"paths.cache={tmp_path / 'cache'}",
            "merge.max_shard_gb=1",
            f"merge.quantized_base={quantized_base}",
            f"allow_other_base={str(other).lower()}",
        ]
    )
    return Job(config, "quickstart/merge", tmp_path / "merge", "model", "print", inputs)


def test_adapter_is_merged_into_the_base_it_remembers(made, tmp_path, monkeypatch):
    rows = dict(merge.run(job(tmp_path, monkeypatch, adapter=made["adapter"])))
    assert rows["base"] == str(made["base"].path)
    assert rows["dtype"] == "float32"
    assert rows["weights"] == "0.00 GB in 1 file"
    assert rows["same most likely token"].startswith("100.0% of ")
    artifact = artifacts.read(tmp_path / "merge" / "artifact", "model")
    artifact.verify()
    assert artifact.facts["max_abs_difference"] < artifact.facts["tolerance"]
    assert artifact.facts["max_abs_effect"] > 0.01
    assert base.load(artifact.path, dtype="float32").dtype == torch.float32
    assert base.load_tokenizer(artifact.path).eos_token == "<eos>"


def test_a_named_model_wins(made, tmp_path, monkeypatch):
    other = tmp_path / "other"
    base.build(TINY, seed=5).save_pretrained(other)
    named = Artifact(other, "model", "other")
    rows = dict(merge.run(job(tmp_path, monkeypatch, adapter=made["adapter"], model=named)))
    assert rows["base"] == str(other)


def test_a_base_from_the_configuration(made, tmp_path, monkeypatch):
    model = {"location": str(made["base"].path), "revision": None}
    provenance = {"inputs": {}, "config": {"model": model}}
    adapter = Artifact(made["adapter"].path, "adapter", "a", provenance=provenance)
    rows = dict(merge.run(job(tmp_path, monkeypatch, adapter=adapter)))
    assert rows["base"] == str(made["base"].path)


def test_an_adapter_that_forgot_its_base(made, tmp_path, monkeypatch):
    adapter = Artifact(made["adapter"].path, "adapter", "a")
    with pytest.raises(ArtifactError, match=r"does not say which base.*; write inputs\.adapter="):
        merge.run(job(tmp_path, monkeypatch, adapter=adapter))


def test_an_adapter_is_needed(tmp_path, monkeypatch):
    with pytest.raises(ArtifactError, match=r"inputs\.adapter is not set"):
        merge.run(job(tmp_path, monkeypatch))


def trained_over(made, quantization):
    """Return the adapter, as if its base had been so."""
    config = {"adapter": {"quantization": quantization}}
    provenance = {**made["adapter"].provenance, "config": config}
    return Artifact(made["adapter"].path, "adapter", "a", provenance=provenance)


def test_a_base_in_four_bits_is_replaced_and_that_is_said(made, tmp_path, monkeypatch, capsys):
    rows = dict(merge.run(job(tmp_path, monkeypatch, adapter=trained_over(made, "nf4"))))
    assert rows["base in 4 bits"] == "full_precision"
    assert "what comes out is not exactly what was trained" in capsys.readouterr().err
    assert artifacts.read(tmp_path / "merge" / "artifact").facts["quantized_base"] == (
        "full_precision"
    )


def test_a_base_in_four_bits_is_dequantized(made, tmp_path, monkeypatch, capsys):
    pytest.importorskip("bitsandbytes", reason="extra qlora")
    asked = job(tmp_path, monkeypatch, "dequantize", adapter=trained_over(made, "nf4"))
    assert dict(merge.run(asked))["base in 4 bits"] == "dequantize"
    assert "not exactly" not in capsys.readouterr().err


def test_four_bits_that_the_adapter_never_saw(made, tmp_path, monkeypatch):
    asked = job(tmp_path, monkeypatch, "dequantize", adapter=trained_over(made, None))
    with pytest.raises(
        ConfigError, match="was trained over a base in full precision; write full_precision"
    ):
        merge.run(asked)


def test_a_damaged_base_leaves_nothing_behind(made, tmp_path, monkeypatch):
    weights = made["base"].path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        merge.run(job(tmp_path, monkeypatch, adapter=made["adapter"]))
    assert not list((tmp_path / "merge").iterdir())


def test_a_base_with_code_of_its_own_is_not_merged_into(made, tmp_path, monkeypatch):
    settings = made["base"].path / "config.json"
    own = {"model_type": "own_attention", "auto_map": {"AutoModelForCausalLM": "m.M"}}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | own))
    with pytest.raises(NotAvailableError, match="runs on code of its own, which merging does not"):
        merge.run(job(tmp_path, monkeypatch, adapter=made["adapter"]))
