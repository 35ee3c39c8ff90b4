"""What an input may be, and what is said of a folder that is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from musicllm import artifacts, config
from musicllm.artifacts import Artifact
from musicllm.errors import ArtifactError, InputError
from musicllm.model import adapters, base
from musicllm.runs import names
from musicllm.runs.binding import bind
from musicllm.runs.inputs import find_input, refuse_other_kind
from musicllm.runs.models import load_model, place_of
from musicllm.stages import merge
from tests.models import LORA, TINY, letter_tokenizer


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Return a folder with `base` and `adapter` as transformers and PEFT write them."""
    base.build(TINY, seed=0).save_pretrained(tmp_path / "base")
    letter_tokenizer().save_pretrained(tmp_path / "base")
    model = base.load(tmp_path / "base", dtype="float32")
    adapted = adapters.attach(model, LORA, seed=1)
    for weight in adapters.trained(adapted).values():
        weight.data += 0.05
    adapters.save_adapter(adapted, tmp_path / "adapter")  # type: ignore[arg-type]
    return tmp_path


def settings(folder: Path, *words: str, recipe: str = "merge") -> config.Config:
    places = [f"paths.runs={folder / 'runs'}", f"paths.cache={folder / 'cache'}"]
    return config.load([f"recipe={recipe}", *places, *words])[0]


def said(folder: Path, name: str) -> str:
    with pytest.raises(ArtifactError) as caught:
        find_input("inputs.model", name, settings(folder, "inputs.adapter=x"))
    return str(caught.value)


def test_a_plain_adapter_is_merged_into_the_base_that_it_names(plain: Path) -> None:
    job = bind(settings(plain, f"inputs.adapter={plain / 'adapter'}"), "merge")
    assert job.inputs["adapter"].kind == "adapter"
    rows = dict(merge.run(job))
    assert rows["base"] == str(plain / "base")
    merged = base.load(job.artifact_path, dtype="float32")
    assert merged.num_parameters() == base.build(TINY, seed=0).num_parameters()
    assert base.load_tokenizer(job.artifact_path).get_vocab() == letter_tokenizer().get_vocab()


@pytest.mark.parametrize("name", ["base", "adapter"])
def test_plain_folders_are_loaded_to_write_with(plain: Path, name: str) -> None:
    words = [f"inputs.model={plain / name}", "hardware=cpu"]
    job = bind(settings(plain, *words, recipe="generate"), "generate")
    assert place_of(job).path == str(plain / "base")
    model, tokenizer = load_model(job)
    assert len(tokenizer) == 64
    assert (adapters.causal_model(model) is model) == (name == "base")


def test_a_plain_folder_is_what_it_holds(plain: Path) -> None:
    given = settings(plain, "inputs.adapter=x")
    first = find_input("inputs.model", str(plain / "base"), given)
    shutil.copytree(plain / "base", plain / "copy")
    assert find_input("inputs.model", str(plain / "copy"), given).fingerprint == first.fingerprint
    base.build(TINY, seed=9).save_pretrained(plain / "copy")
    assert find_input("inputs.model", str(plain / "copy"), given).fingerprint != first.fingerprint


def test_an_adapter_is_no_start_of_a_training(plain: Path) -> None:
    folder = plain / "adapter"
    adapter = Artifact(folder, "adapter", "0")
    with pytest.raises(ArtifactError) as caught:
        refuse_other_kind("train", "model", adapter)
    assert str(caught.value) == (
        f"inputs.model={folder} is an adapter, and a whole model is needed here; merge it into its "
        f"base first: python -m musicllm recipe=merge inputs.adapter={folder} and then write "
        f"inputs.model=<the folder of that run>"
    )
    refuse_other_kind("evaluate", "model", adapter)
    words = ["~inputs.corpus", f"inputs.model={folder}"]
    with pytest.raises(ArtifactError, match="is an adapter, and a whole model"):
        bind(settings(plain, *words, recipe="quickstart/sft"), "quickstart/sft")


@pytest.mark.parametrize(
    ("role", "kind", "text"),
    [
        ("corpus", "model", "inputs.corpus=here is of kind model, and a corpus is needed here"),
        ("model", "corpus", "here is of kind corpus, and a model or an adapter is needed here"),
        ("adapter", "model", "nothing to merge: write inputs.model=here where it is used"),
        ("model", "checkpoint", "run the command that wrote this checkpoint to its end, and name"),
    ],
)
def test_artifacts_of_another_kind(role: str, kind: str, text: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        refuse_other_kind("evaluate", role, Artifact(Path("here"), kind, "0"))
    assert text in str(caught.value)


def test_a_report_tells_of_runs() -> None:
    with pytest.raises(ArtifactError, match="here is no run, and a report tells of runs"):
        refuse_other_kind("report", "model", Artifact(Path("here"), "model", "0"))


def test_recipes_without_a_run_and_words_that_name_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, "quickstart/sft").endswith(
        f"this recipe has no finished run in {tmp_path / 'runs'}; make it with: "
        f"python -m musicllm recipe=quickstart/sft"
    )
    text = said(tmp_path, "quickstart/sftt")
    assert "neither a recipe with a finished run in" in text
    assert "did you mean quickstart/sft?" in text


def test_folders_that_are_no_input_are_described(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert f"{data} holds nothing, and nothing that can be an input" in said(tmp_path, str(data))
    for number in range(7):
        (data / f"{number}.jsonl").write_text("")
    text = said(tmp_path, str(data))
    assert f"{data} holds 0.jsonl, 1.jsonl, 2.jsonl, 3.jsonl, 4.jsonl and 2 more" in text
    assert "become a corpus with data=... in a recipe that prepares" in text
    assert "recipe=" not in text
    assert f"{data / '0.jsonl'} is a file; name a recipe" in said(tmp_path, str(data / "0.jsonl"))


def test_runs_that_have_not_finished(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    names.take(folder, "0", {}, ())
    assert said(tmp_path, str(folder)).endswith(
        f"{folder} is a run that has not finished; start its command again, which continues where "
        f"it stopped"
    )
    names.fail(folder, ValueError("the data are wrong\nmore"))
    assert "has not finished (it stopped: the data are wrong); start" in said(tmp_path, str(folder))


def test_an_adapter_as_a_location(plain: Path) -> None:
    with pytest.raises(InputError) as caught:
        base.load_config(plain / "adapter")
    assert str(caught.value) == (
        f"{plain / 'adapter'} is an adapter and no whole model; evaluate it or write with it by "
        f"inputs.model={plain / 'adapter'}, or merge it into its base: python -m musicllm "
        f"recipe=merge inputs.adapter={plain / 'adapter'}"
    )


def test_settings_that_are_of_no_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"hello": 1}))
    with pytest.raises(InputError, match=r"config\.json does not say model_type, so it is of"):
        base.load_config(tmp_path)


def test_a_plain_adapter_whose_settings_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("[]")
    assert "adapter_config.json cannot be read: " in said(tmp_path, str(tmp_path))


def test_finished_runs_go_before_plain_folders(plain: Path) -> None:
    with artifacts.writing(plain / "base" / "artifact", "corpus", "1", {}):
        pass
    assert (
        find_input("x", str(plain / "base"), settings(plain, "inputs.adapter=x")).kind == "corpus"
    )
