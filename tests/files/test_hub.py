"""Data sets of the hub, of which sources and benchmarks download files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest

from musicllm.data.sources import find_parts, read_part
from musicllm.errors import InputError, NotAvailableError
from musicllm.evals.questions import load_questions
from musicllm.evals.texts import read_texts
from musicllm.files.hub import cache_folder
from musicllm.files.selections import choose_questions, choose_records
from tests.files.hubs import FakeHub
from tests.helpers import source_spec

HUB_ID = "someone/quiz"
ROW = (
    '{"text": "{revision}", "question": "Key?", "choices": ["C", "D", "E", "F"], "answer": "B", '
    '"subject": "{revision}"}\n'
)
NAMES = ("train.jsonl", "test.jsonl", "dev.jsonl")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    files = {name: ROW for prefix in ("", "raw/") for name in (prefix + name for name in NAMES)}
    return FakeHub({"README.md": "", "ids.txt": "1", **files}).install(monkeypatch)


def records(cache: Path, location: str = HUB_ID, revision: str | None = None) -> list[str]:
    source = source_spec("s", "hub", location, format="text", cache=cache, revision=revision)
    items = [item for part in find_parts(source) for item in read_part(part)]
    return [f"{item['id']} {item['text']}" for item in items if isinstance(item, dict)]


def questions(cache: Path, location: str = HUB_ID, revision: str | None = None) -> list[str]:
    rows = load_questions("quiz", location, cache, revision)
    return [question.id for question in rows]


def texts(cache: Path, location: str = f"{HUB_ID}/raw", revision: str | None = None) -> list[str]:
    return read_texts("texts", location, cache, "test", num_texts=None, revision=revision)


def training_texts(cache: Path, revision: str | None = None) -> list[str]:
    return read_texts("texts", f"{HUB_ID}/raw", cache, "train", num_texts=None, revision=revision)


READERS: dict[str, tuple[Callable[[Path], list[str]], int]] = {
    "records": (records, 6),
    "records of a revision": (lambda cache: records(cache, revision="v2"), 6),
    "records of a folder": (lambda cache: records(cache, f"{HUB_ID}/raw"), 3),
    "questions": (questions, 4),
    "questions of a branch": (lambda cache: questions(cache, revision="a/b"), 4),
    "questions of a revision like it": (lambda cache: questions(cache, revision="a-b"), 4),
    "questions of a folder": (lambda cache: questions(cache, f"{HUB_ID}/raw"), 2),
    "texts": (texts, 1),
    "texts of a revision": (lambda cache: texts(cache, revision="v2"), 1),
    "texts of another split": (training_texts, 1),
}


@pytest.mark.parametrize("is_reversed", [False, True])
def test_uses_of_one_data_set_do_not_meet(tmp_path: Path, hub: FakeHub, is_reversed: bool) -> None:
    names = sorted(READERS, reverse=is_reversed)
    alone = {name: READERS[name][0](tmp_path / name) for name in names}
    together = {name: READERS[name][0](tmp_path / "together") for name in (*names, *names)}

    assert together == alone
    assert {name: len(rows) for name, rows in together.items()} == {
        name: number for name, (_, number) in READERS.items()
    }
    assert together["texts of a revision"] == ["v2"]
    assert together["questions of a branch"][0].startswith("a/b/")
    assert len(hub.requests) == 2 * len(READERS)


def test_the_folder_says_what_lies_in_it(tmp_path: Path) -> None:
    folder = cache_folder(tmp_path, f"{HUB_ID}/a/b", "refs/pr/1", "texts.test")
    assert folder == tmp_path / "datasets" / f"{HUB_ID}@refs%2Fpr%2F1" / "texts.test.a%2Fb"
    assert cache_folder(tmp_path, "squad", None, "records") == (
        tmp_path / "datasets" / "squad@main" / "records"
    )


@pytest.mark.parametrize("read", [records, questions, texts])
def test_an_interrupted_download_is_continued_and_never_taken_for_whole(
    tmp_path: Path, hub: FakeHub, read: Callable[[Path], list[str]]
) -> None:
    hub.fails_after = 7
    with pytest.raises(NotAvailableError, match=r"someone/quiz could not be downloaded: connectio"):
        read(tmp_path)
    first = [path for path in tmp_path.rglob("*.jsonl") if ".unfinished" in str(path)]
    with pytest.raises(NotAvailableError):
        read(tmp_path)

    hub.fails_after = 99
    assert len(read(tmp_path)) == len(read(tmp_path / "whole"))
    assert len(first) == {records: 5, questions: 3, texts: 1}[read]
    assert not list(tmp_path.rglob("*.unfinished"))


def test_files_placed_by_hand_are_read_without_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub, "HfApi", None)  # calling it would fail
    folder = tmp_path / "datasets" / f"{HUB_ID}@main" / "records"
    folder.mkdir(parents=True)
    for name in ("train.jsonl", "variation_ids.json"):
        (folder / name).write_text(ROW)

    assert records(tmp_path) == ["s/train.jsonl:1 {revision}"]
    assert "not read: 1 .json" in capsys.readouterr().err
    assert records(tmp_path / "absent", str(folder)) == ["s/train.jsonl:1 {revision}"]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (records, "data.sources.s.location=someone/quiz is no path on this machine either; place "
         "its files (.abc, .arrow, .csv, .json, .jsonl, .ndjson, .parquet, .tsv, .txt (all but "
         ".arrow and .parquet also with .gz, .bz2, .xz, .zst behind), and .zip of these) in "
         "{cache}/datasets/someone/quiz@main/records, or set data.sources.s.location=<file or "
         "folder>"),
        (questions, "benchmark.quiz.location=someone/quiz is no path on this machine either; place "
         "its question files (.csv, .json, .jsonl, .parquet; in dev/ and test/, or named after "
         "their split) in {cache}/datasets/someone/quiz@main/questions, or set "
         "benchmark.quiz.location=<file or folder>"),
    ],
)  # fmt: skip
def test_without_network_the_error_says_what_to_place_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[Path], list[str]],
    message: str,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)

    with pytest.raises(NotAvailableError) as error:
        read(tmp_path)

    reason = "the data set someone/quiz could not be downloaded: no route to host; "
    assert str(error.value) == reason + message.replace("{cache}", str(tmp_path))


def test_a_data_set_without_readable_files_is_an_error(tmp_path: Path, hub: FakeHub) -> None:
    hub.files = {"README.md": "", "audio.wav": ""}
    message = "the data set someone/quiz has no file of the kinds that are read; {}.location="

    with pytest.raises(InputError, match=message.format(r"data\.sources\.s")):
        records(tmp_path)
    with pytest.raises(InputError, match=message.format(r"benchmark\.quiz")):
        questions(tmp_path)
    with pytest.raises(InputError, match=r"location=someone/quiz/raw: the data set has no file of"):
        texts(tmp_path)


@pytest.mark.parametrize("read", [records, questions, texts])
def test_a_revision_of_a_path_is_refused(
    tmp_path: Path, read: Callable[[Path, str, str], list[str]]
) -> None:
    (tmp_path / "a.jsonl").write_text(ROW)
    with pytest.raises(InputError, match=r"\.revision=v2 is of a hub data set, but .* a path; use"):
        read(tmp_path, str(tmp_path), "v2")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["data/train-00000-of-00002.parquet", "data/test-00000.parquet", "old.jsonl"],
            ["data/train-00000-of-00002.parquet", "data/test-00000.parquet"],
        ),
        (["train0.csv", "train1.csv", "valid.csv"], ["train0.csv", "train1.csv", "valid.csv"]),
        (["train/a.jsonl.gz", "dev/b.jsonl.gz"], ["train/a.jsonl.gz", "dev/b.jsonl.gz"]),
        (["alpaca_data.json", "README.md"], ["alpaca_data.json"]),
        (["constrained.jsonl", "tunes.zip"], ["constrained.jsonl", "tunes.zip"]),
        (["my_train.jsonl", "contest.jsonl"], ["my_train.jsonl"]),
        (["data.json", "eval_results.json"], ["data.json", "eval_results.json"]),
    ],
)
def test_records_are_the_files_named_after_splits(names: list[str], expected: list[str]) -> None:
    assert choose_records(names) == expected


def test_training_files_and_single_subjects_hold_no_questions() -> None:
    names = [
        "all/test-0.parquet", "all/auxiliary_train-0.parquet", "virology/test-0.parquet",
        "README.md", "data.tar", "all/.hidden.json", "dataset_infos.json",
    ]  # fmt: skip
    assert choose_questions(names) == ["all/test-0.parquet"]
    assert choose_questions(["test.jsonl", "train.jsonl"]) == ["test.jsonl"]
