from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from musicllm.errors import InputError
from musicllm.evals.texts import read_texts
from musicllm.files.hub import cache_folder
from tests.files.hubs import FakeHub

WIKITEXT = [
    "", " = Robert = \n", "", " He acted . \n", " = = Career = = \n", "", " More . \n",
    "", " = Two = Words = \n", "", " x = y \n", "", " = Cello = \n", "", " It sounds . \n", "",
]  # fmt: skip
ROBERT = " = Robert = \n He acted . \n = = Career = = \n More . \n"
TWO_WORDS = " = Two = Words = \n x = y \n"
CELLO = " = Cello = \n It sounds . \n"


def read(location: Path | str, folder: Path | None = None, **settings: Any) -> list[str]:
    words = {"split": "test", "num_texts": None, **settings}
    return read_texts("language", str(location), folder or Path("/nowhere"), **words)


def lines(path: Path, *rows: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def parquet(path: Path, texts: Sequence[str]) -> Path:
    pq.write_table(pa.table({"text": list(texts)}), path)
    return path


def test_a_text_file_is_one_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One.\n\nTwo, é.\n", encoding="utf-8")
    assert read(tmp_path / "a.txt") == ["One.\n\nTwo, é.\n"]


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("b")
    (tmp_path / "a.csv").write_text('id,content\n1,"a, 1"\n2,a2\n')
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"document": "c"}\n'))
    (tmp_path / "d.json").write_text('[{"text": "d"}]')
    (tmp_path / "e.json").write_text('{"page": "e1"}\n{"page": "e2"}\n')
    (tmp_path / "notes.md").write_text("not read")
    assert read(tmp_path) == ["a, 1", "a2", "b", "c", "d", "e1", "e2"]


def test_only_the_first_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = lines(tmp_path / "a.jsonl", *({"text": f"t{number}"} for number in range(5)))
    assert read(path, num_texts=2) == ["t0", "t1"]
    assert capsys.readouterr().err == ""
    assert len(read(path, num_texts=9)) == 5
    assert capsys.readouterr().err == "language: 5 texts instead of 9 exist\n"


def test_blank_texts_are_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines(tmp_path / "a.jsonl", {"text": "a"}, {"text": " \n"}, {"text": ""})
    assert read(path) == ["a"]
    assert capsys.readouterr().err == "language: 2 blank texts are left out\n"
    with pytest.raises(InputError, match=r"a\.jsonl holds no text: 1 rows, all blank$"):
        read(lines(tmp_path / "a.jsonl", {"text": ""}))


def test_lines_of_articles_are_joined(tmp_path: Path) -> None:
    texts = read(parquet(tmp_path / "test-00000-of-00001.parquet", WIKITEXT))
    assert texts == [ROBERT, TWO_WORDS, CELLO]


def test_lines_without_titles_stay_rows(tmp_path: Path) -> None:
    assert read(parquet(tmp_path / "a.parquet", ["One.\n", "Two.\n"])) == ["One.\n", "Two.\n"]
    rows = [*WIKITEXT, "no line feed"]
    assert len(read(parquet(tmp_path / "b.parquet", rows))) == 9


def test_files_of_the_split_are_chosen(tmp_path: Path) -> None:
    for name in ("train-0.jsonl", "validation-0.jsonl", "test-0.jsonl", "contest.jsonl"):
        lines(tmp_path / name, {"text": name})
    assert read(tmp_path) == ["test-0.jsonl"]
    assert read(tmp_path, split="dev") == ["validation-0.jsonl"]
    assert len(read(tmp_path, split=None)) == 4
    assert read(tmp_path / "train-0.jsonl") == ["train-0.jsonl"]


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    lines(tmp_path / "train" / "0.jsonl", {"text": "a"})
    lines(tmp_path / "val.jsonl", {"text": "a"})
    with pytest.raises(
        InputError,
        match=r"benchmark\.language\.location=.* has no files of split=test, but of train, "
        r"validation; set benchmark\.language\.split to one of these$",
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "a"}\n{"title": "b", "body": "c"}\n',
         r"a\.jsonl:2 has no text: its fields are title, body, and a text is expected in text or "
         r"content or document or page$"),
        ('{"text": "a"}\n["b"]\n', r"a\.jsonl:2 has no text: its fields are none, and"),
        ('{"text": 1}\n', r"a\.jsonl:1: text is int, not a string$"),
        ('{"text": "a"}\n{"text": \n', r"a\.jsonl:2 is not valid JSON \(line 2, column \d+: .*\); "
         r"mend it or take it out$"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_read(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_text("")
    with pytest.raises(InputError, match=r"holds no file that can be read \(found: 1 \.pdf\)"):
        read(tmp_path)
    (tmp_path / "a.parquet").write_text("no parquet")
    with pytest.raises(InputError, match=r"a\.parquet cannot be read to its end"):
        read(tmp_path)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    names = "raw/train-0.jsonl", "raw/test-0.jsonl", "raw/test-1.jsonl", "cut/test-0.jsonl"
    files = {name: json.dumps({"text": name}) for name in names}
    return FakeHub({"README.md": "", **files}).install(monkeypatch)


def test_each_split_of_a_data_set_is_downloaded_once(tmp_path: Path, hub: FakeHub) -> None:
    for _ in range(2):
        assert read("owner/name/raw", tmp_path) == ["raw/test-0.jsonl", "raw/test-1.jsonl"]
    assert read("owner/name/raw", tmp_path, split="train") == ["raw/train-0.jsonl"]
    assert read("owner/name/raw", tmp_path) == ["raw/test-0.jsonl", "raw/test-1.jsonl"]
    assert hub.requests == [("owner/name", None)] * 2


def test_files_that_the_user_placed_are_read(tmp_path: Path, hub: FakeHub) -> None:
    lines(cache_folder(tmp_path, "owner/name/raw", None, "texts.test") / "a.jsonl", {"text": "own"})
    assert read("owner/name/raw", tmp_path) == ["own"]
    assert hub.requests == []


def test_a_data_set_with_several_folders_asks_for_one(tmp_path: Path, hub: FakeHub) -> None:
    with pytest.raises(
        InputError,
        match=r"location=owner/name: the data set has several folders of texts \(cut, raw\); "
        r"name one: benchmark\.language\.location=owner/name/cut$",
    ):
        read("owner/name", tmp_path)
    with pytest.raises(InputError, match=r"owner/name/none: the data set has no file of texts the"):
        read("owner/name/none", tmp_path)
