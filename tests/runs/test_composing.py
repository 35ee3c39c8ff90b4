"""The base of a command: from its option, or from the config.json of a folder or the hub."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from huggingface_hub import errors as hub

from musicllm.errors import ConfigError, InputError, MusicLLMError, NotAvailableError
from musicllm.model import published
from musicllm.runs import composing
from musicllm.runs.planning import run_plan
from musicllm.runs.settings import model_spec
from musicllm.schema import Config
from tests.model import families

TRAIN = ["recipe=sft", "hardware=cpu", "training.max_steps=2"]


def config_of(folder: Path | str, *words: str) -> Config:
    return composing.load([*TRAIN, "model=hf", f"model.location='{folder}'", *words])[0]


def test_a_folder_is_enough(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    config = config_of(folder)
    stored = json.loads((folder / "config.json").read_text())
    assert config.model.config == stored
    assert config.model.dtype == stored["dtype"]
    assert run_plan(config, None).size.num_parameters == families.build("qwen3").num_parameters()


def test_words_go_over_what_is_read(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    config = config_of(folder, "model.config.attention_dropout=0.1", "model.dtype=float16")
    assert config.model.config["attention_dropout"] == 0.1
    assert config.model.dtype == "float16"
    run_plan(config, None)  # dropout may differ from config.json
    with pytest.raises(ConfigError, match=r"hidden_size=48 differs from the weights of .* have 32"):
        run_plan(config_of(folder, "model.config.hidden_size=48"), None)


def test_the_decoder_of_a_multimodal_model_is_planned_without_its_towers(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "gemma3_wrapper")
    config = config_of(folder, "model.config.attention_dropout=0.1")
    assert config.model.config["text_config"]["attention_dropout"] == 0.1
    size = run_plan(config, None).size
    assert size.num_parameters == families.build("gemma3").num_parameters()


def test_an_option_is_compared_with_the_folder_before_anything_is_planned(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    words = [*TRAIN, "model=smollm2_135m", f"model.location='{folder}'"]
    with pytest.raises(ConfigError, match=r"model_type=llama differs .* of type qwen3; let it be"):
        run_plan(composing.load(words)[0], None)


def test_a_misspelled_key_has_no_silent_effect(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    for key in ("atention_dropout", "resid_dropout"):
        with pytest.raises(ConfigError, match=rf"{key}=0\.1 is no key of Qwen3Config, so it has"):
            config_of(folder, f"model.config.{key}=0.1")
    with pytest.raises(ConfigError, match=r"attention_dropout=2 must be a probability"):
        config_of(folder, "model.config.attention_dropout=2")
    with pytest.raises(ConfigError, match=r"rope_theta=5 has no effect beside rope_parameters"):
        config_of(folder, "model.config.rope_theta=5")


def test_a_misspelled_key_in_an_option_is_refused_in_the_plan() -> None:
    config = composing.load([*TRAIN, "model=qwen3_0_6b"])[0]
    keys = {**config.model.config, "atention_bias": True}
    model = dataclasses.replace(config.model, config=keys)
    with pytest.raises(ConfigError, match="atention_bias=True is no key of Qwen3Config; did you"):
        run_plan(dataclasses.replace(config, model=model), None)


def test_weights_that_are_stored_quantized_are_not_planned(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    stored = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(
        json.dumps(stored | {"quantization_config": {"quant_method": "fp8"}})
    )
    with pytest.raises(ConfigError, match=r"quantization_config=fp8 says that the weights of .*/m"):
        run_plan(config_of(folder), None)


def test_a_model_type_alone_is_a_configuration(tmp_path: Path) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    with pytest.raises(ConfigError, match=r"model_type=mistral differs from .*type qwen3"):
        run_plan(config_of(folder, "model.config.model_type=mistral"), None)


def test_no_location() -> None:
    with pytest.raises(ConfigError, match=r"model\.location=null names no model"):
        composing.load([*TRAIN, "model=hf"])


def write_config(folder: Path, **values: object) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("weights.gguf", "holds weights.gguf, a file of llama.cpp whose weights are rounded"),
        ("params.json", "holds params.json, weights in the layout of their publisher"),
        ("adapter_config.json", "is an adapter and no whole model"),
        ("notes.txt", "cannot be read as a model; it needs config.json"),
    ],
)
def test_folders_of_other_things(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text("{}")
    with pytest.raises(InputError, match=text):
        config_of(tmp_path)


def test_encoders_and_unknown_classes(tmp_path: Path) -> None:
    bert = write_config(tmp_path / "bert", model_type="bert")
    with pytest.raises(MusicLLMError, match="is an encoder: it does not write text"):
        run_plan(config_of(bert), None)
    t5 = write_config(tmp_path / "t5", model_type="t5")
    with pytest.raises(MusicLLMError, match="is not a causal language model"):
        run_plan(config_of(t5), None)
    own = write_config(tmp_path / "own", model_type="baichuan", auto_map={"AutoConfig": "c.C"})
    with pytest.raises(MusicLLMError, match=r"may have its own code \(model\.trust_remote"):
        run_plan(config_of(own), None)
    with pytest.raises(InputError, match="does not say model_type"):
        config_of(write_config(tmp_path / "x", hidden_size=3))
    (tmp_path / "x" / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        config_of(tmp_path / "x")
    with pytest.raises(InputError, match=r"/nowhere is not a folder; place config\.json"):
        config_of("/nowhere")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (hub.HFValidationError, InputError, "neither a folder here nor a hub id"),
        (hub.LocalEntryNotFoundError, NotAvailableError, "without a network place config.json"),
        (hub.RepositoryNotFoundError, InputError, "no repository a/b on the hub, or it is private"),
        (hub.GatedRepoError, NotAvailableError, "only for users whom its owner admits"),
        (hub.RemoteEntryNotFoundError, InputError, "a/b has no config.json"),
        (OSError, NotAvailableError, "nor a repository that can be reached on the hub"),
    ],
)
def test_what_the_hub_says(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception], kind: type[Exception], text: str
) -> None:
    def download(*_: object, **__: object) -> None:
        refusal = error.__new__(error)
        refusal.args = ("refused",)
        raise refusal

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(kind, match=text):
        published.read("a/b")


def test_the_hub_is_asked_for_config_json_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = families.write(tmp_path / "m", "qwen3")
    downloads = []

    def download(repository: str, name: str, *, revision: str | None) -> str:
        downloads.append((repository, name, revision))
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    config = config_of("a/b", "model.revision=v1")
    assert downloads == [("a/b", "config.json", "v1")]
    assert model_spec(config).config["model_type"] == "qwen3"
