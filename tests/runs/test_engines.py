"""Which engine writes with which model, and GGUF files as inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError
from musicllm.runs import engines, needs
from musicllm.runs.binding import bind
from musicllm.runs.composing import with_base
from musicllm.runs.engines import engine_name, open_engine
from musicllm.runs.inputs import find_input
from tests.inference.gguf_files import write_gguf

pytest.importorskip("gguf")

GENERATE = ("recipe=generate", "hardware=cpu", "generation=sampling", "generation.prompts=[a]")


def job(tmp_path: Path, *words: str) -> Any:
    paths = (f"paths.runs={tmp_path / 'runs'}", f"paths.cache={tmp_path / 'cache'}")
    config, recipe = configuration.load([*GENERATE, *paths, *words])
    return bind(with_base(config), recipe)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf")


def test_a_gguf_file_is_an_input_by_its_content(tmp_path: Path, tiny: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy"
    copy.mkdir(parents=True)
    (copy / "renamed.gguf").write_bytes(tiny.read_bytes())
    config = job(tmp_path, f"inputs.model={tiny}").config
    artifact = find_input("inputs.model", str(tiny), config)
    assert (artifact.kind, artifact.path) == ("gguf", tiny)
    other = write_gguf(tmp_path / "other.gguf", seed=1)
    jobs = [job(tmp_path, f"inputs.model={path}") for path in (tiny, copy, other)]
    assert jobs[1].inputs["model"].path == copy / "renamed.gguf"
    assert jobs[0].fingerprint == jobs[1].fingerprint != jobs[2].fingerprint
    places = [job(tmp_path, f"model.location={path}") for path in (tiny, other)]
    assert places[0].fingerprint != places[1].fingerprint


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("inputs.model={tiny}",), "gguf"),
        (("model.location={tiny}",), "gguf"),
        (("model=hf", "model.location={tiny}"), "gguf"),
        (("model.endpoint=http://127.0.0.1:8000/v1",), "endpoint"),
        (("model=hf", "model.endpoint=http://127.0.0.1:8000/v1"), "endpoint"),
        (("model.location=some/model",), "transformers"),
        (("model.location=some/model", "inference=vllm"), "vllm"),
    ],
)
def test_the_engine_follows_from_the_model(
    tmp_path: Path, tiny: Path, words: tuple[str, ...], name: str
) -> None:
    assert engine_name(job(tmp_path, *(word.format(tiny=tiny) for word in words))) == name


def test_an_export_that_holds_a_gguf_file_is_one(tmp_path: Path, tiny: Path) -> None:
    with artifacts.writing(tmp_path / "export", "export", "e", {}) as (folder, _):
        (folder / "model-f16.gguf").write_bytes(tiny.read_bytes())
    bound = job(tmp_path, f"inputs.model={tmp_path / 'export'}")
    assert engine_name(bound) == "gguf"
    assert engines.place_of(bound).path == str(tmp_path / "export" / "model-f16.gguf")


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_an_engine_that_needs_a_folder_is_refused(tmp_path: Path, tiny: Path, engine: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_engine(job(tmp_path, f"inputs.model={tiny}", f"inference.engine={engine}"))
    assert f"inference.engine={engine} does not write with a GGUF file, which" in str(error.value)


def test_files_that_are_none_are_described(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "text.gguf").write_text("X:1")
    for name, said in (
        ("text.gguf", "text.gguf is no GGUF file"),
        ("none.gguf", "none.gguf cannot be read: No such file"),
        ("", "holds 2 .gguf files (text.gguf, tiny.gguf); name one of them"),
    ):
        with pytest.raises(ArtifactError) as error:
            job(tmp_path, f"inputs.model={tmp_path / name}")
        assert said in str(error.value)


def test_other_tasks_refuse_a_gguf_file(tmp_path: Path, tiny: Path) -> None:
    config, recipe = configuration.load(
        ["recipe=mmlu", f"paths.cache={tmp_path}", f"inputs.model={tiny}"]
    )
    with pytest.raises(
        ArtifactError, match=r"is a GGUF file, with which only generate and synthesize"
    ):
        bind(config, recipe)


def test_the_missing_package_is_said_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "find_spec", lambda name: name not in ("xllamacpp", "vllm") or None)
    for words, extra in (
        (("inputs.model=tiny.gguf",), "gguf"),
        (("inference.engine=gguf",), "gguf"),
        (("inference=vllm",), "vllm"),
    ):
        config, _ = configuration.load([*GENERATE, *words])
        with pytest.raises(NotAvailableError, match=rf"pip install 'musicllm\[{extra}\]'"):
            needs.require(config)
    config, _ = configuration.load([*GENERATE, "inference=vllm", "+inference.options.python=x"])
    needs.require(config)
