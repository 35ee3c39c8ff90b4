"""The stage that writes a model for other programs."""

from __future__ import annotations

import json

import pytest

from musicllm import artifacts, cli
from musicllm.artifacts import Artifact
from musicllm.model import adapters, base
from tests.models import LORA, TINY, letter_tokenizer


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "tiny"
    base.build(TINY, seed=0).save_pretrained(folder)
    letter_tokenizer().save_pretrained(folder)
    return folder


def export(tmp_path, *words):
    return cli.main(
        [
            "recipe=export",
            f"paths.runs={tmp_path / 'runs'}",
            f"paths.cache={tmp_path / 'cache'}",
            *words,
        ]
    )


def artifact(tmp_path) -> Artifact:
    runs = tmp_path / "runs" / "export"
    return artifacts.read(runs / (runs / "latest").read_text().strip() / "artifact")


def test_a_folder_is_exported_once(model, tmp_path, capsys):
    assert export(tmp_path, f"inputs.model={model}") == 0
    made = artifact(tmp_path)
    made.verify()
    assert made.kind == "model"
    assert made.facts["format"] == "hf"
    assert base.load(made.path, dtype="float32").num_parameters() == made.facts["num_parameters"]
    before = (made.path / "model.safetensors").stat().st_mtime_ns
    assert export(tmp_path, f"inputs.model={model}") == 0
    assert "up to date" in capsys.readouterr().out
    assert (made.path / "model.safetensors").stat().st_mtime_ns == before


@pytest.fixture
def adapter(model, tmp_path):
    adapted = adapters.attach(base.load(model, dtype="float32"), LORA, seed=1)
    adapters.save_adapter(adapted, tmp_path / "adapter")
    return tmp_path / "adapter"


def test_adapters_are_merged_first(adapter, model, tmp_path, capsys):
    assert export(tmp_path, f"inputs.model={adapter}") == 1
    said = capsys.readouterr().err
    assert (
        f"merge it into its base first: python -m musicllm recipe=merge inputs.adapter={adapter}"
        in (said)
    )
    assert export(tmp_path, f"inputs.model={model}", f"+inputs.adapter={adapter}") == 1
    said = capsys.readouterr().err
    assert f"recipe=merge inputs.adapter={adapter}" in said
    assert not list(tmp_path.rglob("artifact"))


def test_quantized_weights_are_refused(model, tmp_path, capsys):
    settings = json.loads((model / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "awq"}
    (model / "config.json").write_text(json.dumps(settings))
    assert export(tmp_path, f"inputs.model={model}") == 2
    assert "are quantized already" in capsys.readouterr().err


def test_a_folder_that_is_no_model(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert export(tmp_path, f"inputs.model={tmp_path / 'empty'}") == 1
    assert "holds nothing, and nothing that can be an input" in capsys.readouterr().err
