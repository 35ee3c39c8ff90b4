"""Two models of a server: which engines they get, and what is refused before one is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from musicllm import artifacts
from musicllm import config as configuration
from musicllm.checks import check
from musicllm.errors import ArtifactError, ConfigError, NotAvailableError
from musicllm.model import base
from musicllm.runs import needs, served_models
from musicllm.runs.binding import bind
from musicllm.runs.composing import with_base
from musicllm.runs.engines import engine_name
from tests.inference.gguf_files import write_gguf
from tests.models import TINY, letter_tokenizer

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from musicllm.serve.desk import DeskLimits

LIMITS = DeskLimits(8, 60.0)
DEMO = ("recipe=demo", "hardware=cpu", "generation=sampling")


class Memory(NamedTuple):
    available: int


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two models of transformers with other weights."""
    written = []
    for seed, name in enumerate(("one", "two")):
        tokenizer = letter_tokenizer()
        tokenizer.save_pretrained(tmp_path / name)
        base.build(TINY, seed=seed, vocab_size=len(tokenizer)).save_pretrained(tmp_path / name)
        written.append(tmp_path / name)
    return written[0], written[1]


def job(tmp_path: Path, first: object, second: object, *words: str) -> Any:
    paths = (f"paths.runs={tmp_path / 'runs'}", f"paths.cache={tmp_path / 'cache'}")
    named = (f"inputs.model={first}", f"inputs.second_model={second}")
    config, recipe = configuration.load([*DEMO, *paths, *named, *words])
    check(config)
    return bind(with_base(config), recipe)


def test_each_model_has_its_name_and_engine(
    tmp_path: Path, folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bound = job(tmp_path, *folders)
    models = served_models.served_models(bound, LIMITS)
    assert list(models) == ["one", "two"]
    assert all(model.engine is None for model in models.values()), "none is loaded yet"
    size = served_models.weights_bytes(bound, "model")
    stored = sum(path.stat().st_size for path in folders[0].glob("*.safetensors"))
    assert size is not None
    assert stored / 2 < size < 3 * stored
    assert "weights in memory: one: 0.00 GB, two: 0.00 GB; " in capsys.readouterr().out
    for model in models.values():
        model.load()
    engines = [model.ready()[0] for model in models.values()]
    assert engines[0] is not engines[1]
    for engine in engines:
        engine.close()


def test_models_of_one_name_are_told_apart(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    other = tmp_path / "elsewhere" / "one"
    shutil.copytree(folders[1], other)
    models = served_models.served_models(job(tmp_path, folders[0], other), LIMITS)
    assert list(models) == ["one", "one (second)"]


def test_a_second_model_may_be_of_another_kind(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("gguf")
    tiny = write_gguf(tmp_path / "tiny.gguf")
    bound = job(tmp_path, folders[0], tiny)
    assert engine_name(bound) == "transformers"
    assert engine_name(bound, "second_model") == "gguf"
    assert served_models.weights_bytes(bound, "second_model") == tiny.stat().st_size
    monkeypatch.setattr(needs, "find_spec", lambda name: name != "xllamacpp" or None)
    with pytest.raises(NotAvailableError, match=r"inputs.second_model=.*tiny.gguf needs xllamacpp"):
        needs.require(bound.config)


def test_the_same_content_is_no_second_model(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folders[0], copy)
    with pytest.raises(ConfigError) as error:
        served_models.served_models(job(tmp_path, folders[0], copy), LIMITS)
    (problem,) = error.value.problems
    assert str(problem) == (
        f"inputs.second_model={copy} has the same content as {folders[0]}; name another; one model "
        "is compared with and without the grammar by itself"
    )


def test_what_does_not_fit_is_refused_before_it_is_loaded(
    tmp_path: Path, folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_models.psutil, "virtual_memory", lambda: Memory(1000))
    with pytest.raises(ConfigError) as error:
        served_models.served_models(job(tmp_path, *folders), LIMITS)
    assert "does not fit beside the first: 0.0 GB of weights; 0.0 GB are free" in str(error.value)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("recipe=generate", "generation.prompts=[a]"),
         "inputs.second_model=b is compared by demo and serve, and not by task=generate; leave it "
         "out"),
        (("recipe=demo", "inputs.model=b"),
         "inputs.second_model=b is inputs.model itself; name another; one model is compared with "
         "and without the grammar by itself"),
        (("recipe=serve", "model.endpoint=http://127.0.0.1:1/v1", "inference.engine=endpoint"),
         "inputs.second_model=b is a model of this machine, and inference.engine=endpoint writes "
         "with a server; leave inference.engine out"),
    ],
)  # fmt: skip
def test_each_broken_rule_is_the_only_problem(words: tuple[str, ...], problem: str) -> None:
    settings = ("hardware=cpu", "generation=sampling", "inputs.second_model=b")
    config, _ = configuration.load([*words, *settings])
    with pytest.raises(ConfigError) as error:
        check(config)
    assert [str(own) for own in error.value.problems] == [problem]


def test_a_corpus_is_no_second_model(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    with artifacts.writing(tmp_path / "corpus", "corpus", "c", {}) as (folder, _):
        (folder / "x").write_text("x")
    with pytest.raises(ArtifactError, match=r"is of kind corpus, and a model or an adapter"):
        job(tmp_path, folders[0], tmp_path / "corpus")
