"""The stage that writes a GGUF file."""

from __future__ import annotations

import pytest

pytest.importorskip("gguf")
pytest.importorskip("xllamacpp")

from musicllm.model.export.gguf import asking
from tests.model import families
from tests.stages.test_export import artifact, export


def test_a_model_is_exported_with_its_proof(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(asking, "REQUESTS", asking.REQUESTS[:3])
    folder = families.write(tmp_path / "tune_writer", "llama")
    words = ["export.format=gguf", f"inputs.model={folder}", "generation.temperature=0.3"]
    assert export(tmp_path, *words) == 0
    made = artifact(tmp_path)
    made.verify()
    assert made.kind == "export"
    assert made.facts["quantization"] == "f16"
    assert made.facts["proof"]["num_prompts"] == 3
    file = made.path / made.facts["file"]
    assert file.stat().st_size == made.facts["num_bytes"]
    modelfile = (made.path / "Modelfile").read_text()
    assert modelfile.startswith(f"FROM ./{file.name}\n")
    assert "PARAMETER temperature 0.3\n" in modelfile
    assert "same prompts and tokens" in capsys.readouterr().out


def test_a_tokenizer_that_llama_cpp_does_not_have(tmp_path, capsys):
    from musicllm.model import base
    from tests.models import TINY, letter_tokenizer

    folder = tmp_path / "letters"
    base.build(TINY, seed=0).save_pretrained(folder)
    letter_tokenizer().save_pretrained(folder)
    assert export(tmp_path, "export.format=gguf", f"inputs.model={folder}") == 1
    assert "llama.cpp cannot make the tokens of this tokenizer: it is a" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.gguf"))
