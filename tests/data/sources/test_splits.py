from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from musicllm.data.settings import SourceSpec
from musicllm.data.sources import Part, find_parts, read_part
from musicllm.files.splits import split_of_name
from tests.helpers import source_spec


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00005.parquet", "train"),
        ("training_set.csv.gz", "train"),
        ("musicpile_train_v2.jsonl", "train"),
        ("Validation.json", "validation"),
        ("valid.jsonl", "validation"),
        ("dev-00001-of-00002.arrow", "validation"),
        ("val2.jsonl", "validation"),
        ("test.jsonl.zst", "test"),
        ("tunes.test.jsonl", "test"),
        ("my eval.json", "test"),
        ("test/0001.abc", "test"),
        ("train/reels/test.jsonl", "test"),
        ("data/validation/data-00000-of-00001.arrow", "validation"),
        ("books.zip/test/1.abc", "test"),
        ("train.zip/reels/1.abc", "train"),
        ("train.abc", "train"),
        ("test-01.txt", "test"),
        ("songs.jsonl", None),
        ("latest.jsonl", None),
        ("contrainte.csv", None),
        ("night-train.abc", None),
        ("The Test of Time.abc", None),
        ("folk-train/1.abc", None),
        ("data/0001.json", None),
    ],
)
def test_a_name_says_a_split_or_none(name: str, split: str | None) -> None:
    assert split_of_name(name) == split


def write(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))


def read(parts: list[Part]) -> list[tuple[str, str | None, tuple[str, ...]]]:
    return [
        (item["id"], part.split, part.closed)
        for part in parts
        for item in read_part(part)
        if isinstance(item, dict)
    ]


def spec(location: Path, max_records: int | None = None) -> SourceSpec:
    return source_spec("s", "files", str(location), max_records=max_records)


def test_parts_carry_the_split_of_their_files_and_it_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a/test.jsonl", "dev.jsonl", "more.jsonl", "train-00000-of-00002.jsonl"):
        write(tmp_path / name, "one", "two")
    write(tmp_path / "test/1.jsonl", "three")
    write(tmp_path / "test/2.jsonl", "four")
    both = ("validation", "test")

    found = find_parts(spec(tmp_path))

    assert read(found) == [
        ("s/more.jsonl:1", None, both),
        ("s/more.jsonl:2", None, both),
        ("s/train-00000-of-00002.jsonl:1", None, both),
        ("s/train-00000-of-00002.jsonl:2", None, both),
        ("s/dev.jsonl:1", "validation", both),
        ("s/dev.jsonl:2", "validation", both),
        ("s/a/test.jsonl:1", "test", both),
        ("s/a/test.jsonl:2", "test", both),
        ("s/test/1.jsonl:1", "test", both),
        ("s/test/2.jsonl:1", "test", both),
    ]
    assert (
        "source s: its files are divided by their names, train: more.jsonl, "
        "train-00000-of-00002.jsonl; validation: dev.jsonl; test: a/test.jsonl, test/1.jsonl and "
        "1 more (data.sources.s.named_splits=false pools them)\n"
    ) in capsys.readouterr().out
    assert [len(read([part])) for part in find_parts(spec(tmp_path, 1))] == [1, 1, 1]


def test_training_files_alone_are_divided_by_us(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "train.jsonl", "one")
    assert read(find_parts(spec(tmp_path))) == [("s/train.jsonl:1", None, ())]
    assert "divided" not in capsys.readouterr().out


def test_names_count_inside_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        for name in ("train/a.jsonl", "test/a.jsonl"):
            file.writestr(name, '{"text": "one"}\n')

    assert read(find_parts(spec(tmp_path / "all.zip"))) == [
        ("s/all.zip/train/a.jsonl:1", None, ("test",)),
        ("s/all.zip/test/a.jsonl:1", "test", ("test",)),
    ]


def test_lists_of_a_json_object_named_after_splits_are_these(tmp_path: Path) -> None:
    lists = {
        "about": {"test": ["no record"]},
        "train": [{"text": "one"}, {"text": "two"}],
        "val": [{"text": "three"}],
        "extra": [{"text": "four"}],
    }
    (tmp_path / "all.json").write_text(json.dumps(lists, indent=1))
    plain = {"data": lists["train"], "more": lists["extra"]}
    (tmp_path / "plain.json").write_text(json.dumps(plain, indent=1))

    assert read(find_parts(spec(tmp_path))) == [
        ("s/all.json:1", None, ("validation",)),
        ("s/all.json:2", None, ("validation",)),
        ("s/all.json:4", None, ("validation",)),
        ("s/plain.json:1", None, ("validation",)),
        ("s/plain.json:2", None, ("validation",)),
        ("s/plain.json:3", None, ("validation",)),
        ("s/all.json:3", "validation", ("validation",)),
    ]
