"""Where the files of sources and of benchmarks lie that are data sets of the hub."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import huggingface_hub
import pytest
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import AutoTokenizer, LlamaTokenizer

from musicllm import config
from musicllm.data.sources import find_parts, read_part
from musicllm.evals.downloads import benchmark_folder
from musicllm.evals.questions import read_solved
from musicllm.evals.questions.files import locate
from musicllm.schema import BenchmarkConfig, Config
from musicllm.stages import corpora
from tests.helpers import source_spec
from tests.vocabularies import llama_like


@pytest.mark.parametrize(
    ("said", "saved", "scheme"),
    [
        (True, "first", "always"),
        (False, "first", "first"),
        (None, "first", "first"),  # written by transformers 5, which leaves the word out
        (None, "always", "always"),
        (None, None, "always"),  # written by transformers 4, whose default is legacy
    ],
)
def test_a_tokenizer_is_legacy_unless_its_files_say_otherwise(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: bool | None,
    saved: Literal["first", "always"] | None,
    scheme: str,
) -> None:
    LlamaTokenizer().save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings | {"legacy": said}))
    core = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    if saved is None:
        core.normalizer, core.pre_tokenizer = normalizers.Prepend("\u2581"), None
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", saved, False)
    core.save(str(tmp_path / "tokenizer.json"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)

    corpora.as_published(tokenizer)

    assert tokenizer.backend_tokenizer.pre_tokenizer.prepend_scheme == scheme
    told = capsys.readouterr().err
    assert (f"the tokenizer {tmp_path} is legacy (its tokenizer_config" in told) == (
        scheme == "always"
    )


def test_a_tokenizer_without_settings_counts_by_how_it_was_saved(tmp_path: Path) -> None:
    LlamaTokenizer().save_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()

    corpora.as_published(tokenizer)

    assert tokenizer.backend_tokenizer.pre_tokenizer.prepend_scheme == "first"


def test_a_tokenizer_of_another_kind_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = llama_like(None)
    corpora.as_published(tokenizer)
    assert tokenizer.backend_tokenizer.pre_tokenizer is None
    assert capsys.readouterr().err == ""


HUB_ID = "someone/quiz"
QUESTION = (
    '{"question": "Key?", "choices": ["C", "D", "E", "F"], "answer": "B", "subject": "keys"}\n'
)
FILES = {"train.jsonl": QUESTION, "test.jsonl": QUESTION, "dev.jsonl": QUESTION}


@pytest.fixture(scope="module")
def mmlu() -> Config:
    return config.load(["recipe=mmlu", "benchmark=[mmlu]"])[0]


@pytest.fixture
def composed(mmlu: Config, tmp_path: Path) -> Config:
    return dataclasses.replace(mmlu, paths=dataclasses.replace(mmlu.paths, cache=str(tmp_path)))


def benchmark(composed: Config, **changes: Any) -> BenchmarkConfig:
    return dataclasses.replace(composed.benchmark["mmlu"], location=HUB_ID, **changes)


@pytest.fixture
def downloaded(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Names of the files of every download from a hub that holds FILES."""
    calls: list[list[str]] = []
    files = [SimpleNamespace(rfilename=name) for name in FILES]
    info = SimpleNamespace(dataset_info=lambda *_, **__: SimpleNamespace(siblings=files))

    def download(_: str, *, local_dir: Path, allow_patterns: list[str], **__: Any) -> None:
        local_dir.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            (local_dir / name).write_text(FILES[name])
        calls.append(sorted(allow_patterns))

    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return calls


def folder_of_benchmark(composed: Config, content: str, spec: BenchmarkConfig) -> Path:
    assert spec.location is not None
    return benchmark_folder(Path(composed.paths.cache), content, spec.location, spec.revision)


def questions_of(composed: Config) -> list[str]:
    spec = benchmark(composed)
    place = locate("mmlu", HUB_ID, folder_of_benchmark(composed, "questions", spec), spec.revision)
    return [each.question.id for each in read_solved("mmlu", place)]


def texts_of(composed: Config) -> list[str]:
    folder = corpora.downloads(composed, HUB_ID)
    source = source_spec("s", "hub", HUB_ID, local_folder=folder)
    found = [item for part in find_parts(source) for item in read_part(part)]
    return [item["id"] for item in found if isinstance(item, dict)]


@pytest.mark.parametrize("source_first", [True, False])
def test_a_source_and_a_benchmark_of_one_data_set_do_not_meet(
    composed: Config, downloaded: list[list[str]], source_first: bool
) -> None:
    both = (texts_of, questions_of) if source_first else (questions_of, texts_of)
    found = {read.__name__: read(composed) for read in (*both, *both)}

    assert found["texts_of"] == ["s/train.jsonl:1", "s/dev.jsonl:1", "s/test.jsonl:1"]
    assert found["questions_of"] == ["keys/dev/0", "keys/test/0"]
    assert sorted(downloaded) == [["dev.jsonl", "test.jsonl"], [*sorted(FILES)]]


def test_what_a_benchmark_downloaded_before_is_used(composed: Config, tmp_path: Path) -> None:
    new, old = tmp_path / "questions" / HUB_ID, tmp_path / "datasets" / HUB_ID
    spec, text = benchmark(composed), benchmark(composed, kind="perplexity", revision="v2")

    assert folder_of_benchmark(composed, "questions", spec) == new
    old.mkdir(parents=True)
    assert folder_of_benchmark(composed, "questions", spec) == old
    assert folder_of_benchmark(composed, "texts", text) == tmp_path / "texts" / HUB_ID
    (tmp_path / "datasets" / f"{HUB_ID}@v2").mkdir()
    assert folder_of_benchmark(composed, "texts", text) == old
    (old / ".download").write_text("someone/quiz@main complete\n")  # a source's
    assert folder_of_benchmark(composed, "questions", spec) == new
