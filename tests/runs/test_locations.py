"""Places that settings name count by what they hold, in every stage that reads one."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from musicllm import config
from musicllm.artifacts import fingerprint, writing
from musicllm.data.sources.readers import READERS
from musicllm.data.sources.readers.texts import FILE as MUSIC_TEXTS
from musicllm.runs.binding import bind
from musicllm.runs.locations import of_model
from musicllm.synthesis.assistants import FOLDER
from musicllm.synthesis.checks.glossary import BUILT_IN

BOOKS = "data.sources.music21_books"
PLACES = {
    "files": ("quickstart/prepare", f"{BOOKS}.location", [f"{BOOKS}.reader=files"], "a.abc"),
    "hub": ("quickstart/prepare", f"{BOOKS}.location", [f"{BOOKS}.reader=hub"], "a.jsonl.gz"),
    "zip": ("quickstart/prepare", f"{BOOKS}.location", [f"{BOOKS}.reader=files"], "a.zip"),
    "corpus": (
        "quickstart/prepare", f"{BOOKS}.location", [f"{BOOKS}.reader=corpus"],
        "records/train/0.jsonl",
    ),
    "phrasings": ("quickstart/prepare", "data.instructions.phrasings", [], "en.toml"),
    "tokenizer": ("prepare_sft", "model.location", ["data=abc_folder"], "tokenizer.json"),
    "weights": ("generate", "model.location", [], "model.safetensors"),
    "questions": ("mmlu", "benchmark.mmlu.location", [], "test/a.csv"),
    "bench": ("bench/eval", "bench.questions", [], "test/a.csv"),
}  # fmt: skip


def bound(tmp_path: Path, recipe: str, words: Sequence[str]) -> str:
    places = [f"paths.runs={tmp_path / 'runs'}", f"paths.cache={tmp_path / 'cache'}"]
    return bind(*config.load([f"recipe={recipe}", *places, *words])).fingerprint


@pytest.mark.parametrize("name", PLACES)
def test_a_place_counts_by_what_it_holds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, key, words, file = PLACES[name]
    (tmp_path / "mine" / file).parent.mkdir(parents=True)
    (tmp_path / "mine" / file).write_text("1")

    def identity(location: str) -> str:
        return bound(tmp_path, recipe, [f"{key}={location}", *words])

    monkeypatch.chdir(tmp_path)
    shutil.copytree("mine", "copy")
    for ignored in ("README.md", f"{file}~", ".hidden", "manifest.json"):
        (tmp_path / "copy" / ignored).parent.mkdir(exist_ok=True)
        if ignored != "manifest.json" or name in ("corpus", "tokenizer", "weights", "phrasings"):
            (tmp_path / "copy" / ignored).write_text("2")
    first = identity("mine")
    assert identity(str(tmp_path / "mine")) == identity("copy") == first
    (tmp_path / "copy" / file).write_text("3")
    assert identity("copy") != first


def test_what_is_not_here_counts_by_name(tmp_path: Path) -> None:
    words = ([], ["model.location=some/model"], ["model.revision=v2"])
    assert len({bound(tmp_path, "generate", some) for some in words}) == 3


def test_a_model_in_a_package_counts_with_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for version in ("1.0", "1.1", None):

        def look(_: str, version: str | None = version) -> str:
            if version is None:
                raise metadata.PackageNotFoundError
            return version

        monkeypatch.setattr(metadata, "version", look)
        found.append(bound(tmp_path, "generate", ["model=smollm2_135m"]))
    assert len(set(found)) == 3


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("model-00001-of-00003.safetensors", True),
        ("tokenizer.model", True),
        ("merges.txt", True),
        ("additional_chat_templates/rag.jinja", True),
        ("LICENSE.txt", False),
        ("pytorch_model.bin", False),
        ("checkpoint-500/model.safetensors", False),
    ],
)
def test_files_of_a_model(name: str, counts: bool) -> None:
    assert of_model(name) is counts


def test_a_run_that_was_copied_with_all_it_needs_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "base").mkdir(parents=True)
    (here / "base" / "model.safetensors").write_bytes(b"weights")
    with writing(here / "corpus", "corpus", fingerprint(1), {}) as (folder, _):
        (folder / "rows").write_text("1 2 3")
    words = ["recipe=sft", "model.location=base", "inputs.corpus=corpus", "name=mine"]
    monkeypatch.chdir(here)
    job = bind(*config.load([*words, "paths.cache=cache"]))
    job.folder.mkdir(parents=True)
    (job.folder / "fingerprint").write_text(job.fingerprint)
    shutil.copytree(here, tmp_path / "there")
    shutil.rmtree(here)
    monkeypatch.chdir(tmp_path / "there")
    again = bind(*config.load([*words, "paths.cache=elsewhere"]))
    assert (again.fingerprint, again.folder) == (job.fingerprint, job.folder)


@pytest.mark.parametrize(
    ("recipe", "key", "packaged"),
    [
        ("imelodist/translate", "synthesis.glossary", BUILT_IN),
        ("imelodist/self_cognition", "synthesis.assistant", FOLDER / "melodist.toml"),
        ("imelodist/self_cognition", "synthesis.conversations", FOLDER / "conversations.toml"),
    ],
)
def test_a_file_of_musicllm_counts_as_a_copy_of_it_does(
    recipe: str, key: str, packaged: Path, tmp_path: Path
) -> None:
    copy = tmp_path / packaged.name
    shutil.copy(packaged, copy)
    first = bound(tmp_path, recipe, ["model=tiny"])
    assert bound(tmp_path, recipe, ["model=tiny", f"{key}={copy}"]) == first
    copy.write_text(copy.read_text(encoding="utf-8") + "\n# mine\n", encoding="utf-8")
    assert bound(tmp_path, recipe, ["model=tiny", f"{key}={copy}"]) != first


def test_the_texts_of_musicllm_count_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["data=music_texts", "model=tiny"]
    first = bound(tmp_path, "prepare_sft", words)
    copy = tmp_path / "texts.jsonl"
    copy.write_text(MUSIC_TEXTS.read_text(encoding="utf-8") + '{"text": "More."}\n', "utf-8")
    monkeypatch.setitem(READERS._kinds, "texts", replace(READERS["texts"], packaged=copy))
    assert bound(tmp_path, "prepare_sft", words) != first
