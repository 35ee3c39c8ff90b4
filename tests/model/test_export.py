"""Formats of models for other programs: their settings, and the plain folder."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
import yaml
from safetensors.torch import load_file

from musicllm import config as configuration
from musicllm.errors import InputError, StageError
from musicllm.model import base
from musicllm.model.export import EXPORTERS, NUMBERS, Export, copying
from musicllm.model.export.kinds.hf import HuggingFace
from musicllm.model.weights import WeightFiles
from musicllm.schema import ExportConfig
from tests.models import TINY, change_tensors, letter_tokenizer


def settings(**changes) -> ExportConfig:
    file = configuration.root() / "export" / "default.yaml"
    return dataclasses.replace(ExportConfig(**yaml.safe_load(file.read_text())), **changes)


@pytest.fixture
def source(tmp_path):
    """A tiny model with tokenizer, template and licence."""
    folder = tmp_path / "source"
    base.build(TINY, seed=0).save_pretrained(folder)
    tokenizer = letter_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    (folder / "LICENSE").write_text("free")
    (folder / "manifest.json").write_text("{}")
    return folder


def export_hf(source, folder, **changes):
    folder.mkdir()
    return HuggingFace().export(Export(source, folder, "tiny", settings(**changes)))


def test_values_that_say_nothing_are_the_defaults():
    defaults = settings()
    assert {key: getattr(defaults, key) for key in NUMBERS} == NUMBERS


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_format_takes_the_defaults_and_refuses_what_it_does_not_read(name):
    kind, defaults = EXPORTERS[name], settings(format=name)
    assert not list(kind.problems(defaults))
    assert {problem.key for problem in kind.problems(settings(options={"level": 9}))} >= {
        "export.options"
    }
    (problem,) = kind.problems(settings(quantization="q3_9"))
    assert problem.key == "export.quantization"
    for key in NUMBERS.keys() - set(kind.keys):
        other = {"dtype": "float16", "max_shard_gb": 3.0, "num_texts": 3}[key]
        (problem,) = kind.problems(settings(**{key: other}))
        assert str(problem) == (
            f"export.{key}={other} has no effect on export.format={name}; write {NUMBERS[key]}"
        )


def test_a_copy_has_the_same_bytes_and_files(source, tmp_path):
    exported = export_hf(source, tmp_path / "copy")
    names = sorted(path.name for path in (tmp_path / "copy").iterdir())
    assert names == [
        "LICENSE", "chat_template.jinja", "config.json", "generation_config.json",
        "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    for name in names:
        assert (tmp_path / "copy" / name).read_bytes() == (source / name).read_bytes(), name
    assert dict(exported.rows)["dtype"] == "float32"
    assert exported.facts["num_parameters"] == base.load(source, dtype="float32").num_parameters()


def test_another_dtype_in_shards(source, tmp_path):
    export_hf(source, tmp_path / "copy", dtype="bfloat16", max_shard_gb=2e-5)
    original, copy = (WeightFiles.of_model(path) for path in (source, tmp_path / "copy"))
    assert len(list((tmp_path / "copy").glob("model-*.safetensors"))) > 1
    assert original.shapes.keys() == copy.shapes.keys()
    for name in original.shapes:
        assert torch.equal(copy.read(name), original.read(name).bfloat16())
    assert json.loads((tmp_path / "copy" / "config.json").read_text())["dtype"] == "bfloat16"
    assert base.load(tmp_path / "copy", dtype="float32").dtype == torch.float32


def test_a_weight_that_float16_cannot_hold(source, tmp_path):
    file = source / "model.safetensors"
    name = "model.norm.weight"
    change_tensors(file, **{name: load_file(file)[name] + 1e6})
    with pytest.raises(
        InputError,
        match=r"model\.norm\.weight of .* has elements of up to 1e\+06, which "
        r"export\.dtype=float16 cannot hold; use bfloat16 or auto",
    ):
        export_hf(source, tmp_path / "copy", dtype="float16")


def test_weights_that_are_not_finite_are_not_passed_on(source, tmp_path):
    change_tensors(
        source / "model.safetensors", **{"model.norm.weight": torch.full((32,), torch.nan)}
    )
    with pytest.raises(InputError, match="hold NaN or infinity"):
        export_hf(source, tmp_path / "copy")


def test_a_copy_that_differs_is_refused(source, tmp_path, monkeypatch):
    write = copying.WeightShardWriter.add
    monkeypatch.setattr(
        copying.WeightShardWriter,
        "add",
        lambda self, name, tensor: write(self, name, tensor + 1 if "norm" in name else tensor),
    )
    with pytest.raises(StageError, match="is not what was written"):
        export_hf(source, tmp_path / "copy")


def test_tensors_that_are_left_out_are_counted(source, tmp_path, capsys):
    change_tensors(source / "model.safetensors", **{"v_head.weight": torch.ones(2)})
    (tmp_path / "copy").mkdir()
    export = Export(source, tmp_path / "copy", "tiny", settings(), ignored_tensors=("^v_head",))
    HuggingFace().export(export)
    assert "1 tensors of" in capsys.readouterr().err
    assert "v_head.weight" not in WeightFiles.of_model(tmp_path / "copy").shapes
