"""Which files a source consists of, how it is cut, and what a user is told."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from musicllm import artifacts
from musicllm.data.records import Drop, Record
from musicllm.data.settings import SourceSpec
from musicllm.data.sources import FREE_BOOKS, Part, find_parts, parts, read_part
from musicllm.data.sources.readers import books
from musicllm.errors import ArtifactError, InputError, NotAvailableError
from musicllm.files import pieces
from tests.data.sources.samples import write_jsonl
from tests.helpers import source_spec

TUNE = "R:reel\nL:1/8\nM:4/4\nK:D\n" + "DEFGABcd | " * 8 + "\n"


def spec(location: Path, **settings: Any) -> SourceSpec:
    return source_spec(**{"name": "s", "reader": "files", "location": str(location), **settings})


def read(found: list[Part]) -> list[Record | Drop]:
    return [item for part in found for item in read_part(part)]


def ids(found: list[Part]) -> list[str]:
    return [item["id"] for item in read(found) if isinstance(item, dict)]


def add(path: Path, content: str | bytes = '{"text": "a"}\n') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/two.jsonl", "b/one.jsonl", "a.jsonl", "b/.hidden.jsonl", ".git/a.jsonl"):
        add(tmp_path / name)

    assert ids(find_parts(spec(tmp_path))) == [
        "s/a.jsonl:1",
        "s/b/one.jsonl:1",
        "s/b/two.jsonl:1",
    ]


def test_small_files_share_a_part_and_parts_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        add(tmp_path / f"{number:02}.abc", f"X:{number}\n{TUNE}")
    whole = find_parts(spec(tmp_path))
    monkeypatch.setattr(parts, "PART_PIECES", 30)
    few = find_parts(spec(tmp_path))
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1000)
    small = find_parts(spec(tmp_path))

    assert [len(part.pieces) for part in whole] == [100]
    assert [len(part.pieces) for part in few] == [30, 30, 30, 10]
    assert max(part.num_bytes for part in small) <= 1000
    assert read(whole) == read(few) == read(small)
    assert len(pickle.dumps(whole)) < 10_000


def test_the_format_and_what_is_left_out_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("1.jsonl", "2.jsonl", "cover.png", "back.png", "LICENSE", "old.tar.gz"):
        add(tmp_path / name)
    add(tmp_path / "a.abc", f"X:1\n{TUNE}")
    add(tmp_path / "notes.txt", "On reels.")

    found = find_parts(spec(tmp_path))

    assert [part.format for part in found] == ["text", "abc", "text"]
    told = capsys.readouterr()
    assert told.out == (
        "source s: 2 .jsonl (format text), 1 .abc (format abc), 1 .txt (format text)\n"
    )
    assert told.err == ("source s: files that are not read: 1 without suffix, 2 .png, 1 .gz\n")


def test_a_folder_of_tunes_is_read_without_what_lies_beside_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LICENSE.txt", "notes.txt", "index.json", "README.md", ".DS_Store", "Thumbs.db"):
        add(tmp_path / name, '{"title": "The Wind"}')
    add(tmp_path / "readme.abc", f"X:1\n{TUNE}")
    add(tmp_path / "b.abc.gz", gzip.compress(f"X:2\n{TUNE}".encode()))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as file:
        for name in ("LICENCE.TXT", "list.csv", "1.abc", "__MACOSX/1.abc"):
            file.writestr(name, f"X:3\n{TUNE}")

    found = find_parts(spec(tmp_path, kinds=("abc",)))

    assert ids(found) == ["s/b.abc.gz:1", "s/c.zip/1.abc:1", "s/readme.abc:1"]
    assert capsys.readouterr().err == (
        "source s: files that are not read: 1 hidden, 2 .txt (not abc), 1 .md, 1 .db, "
        "1 .TXT (not abc), 1 .csv (not abc), 1 .json (not abc)\n"
    )


def test_what_is_written_about_data_is_read_only_where_nothing_else_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("README.txt", "sub/LICENSE.txt"):
        add(tmp_path / name, "Copying is allowed.")
    assert len(ids(find_parts(spec(tmp_path)))) == 2
    assert ids(find_parts(spec(tmp_path / "README.txt"))) == ["s/README.txt:1"]
    add(tmp_path / "chapter.txt", "On reels.")
    add(tmp_path / "authors.jsonl")
    add(tmp_path / "dataset_infos.json", '{"default": {"splits": []}}')
    capsys.readouterr()

    assert ids(find_parts(spec(tmp_path))) == ["s/authors.jsonl:1", "s/chapter.txt:1"]
    assert capsys.readouterr().err == (
        "source s: files that are not read: 1 README.txt (about the data), 1 dataset_infos.json "
        "(about the data), 1 LICENSE.txt (about the data)\n"
    )


def test_a_data_set_that_datasets_saved_is_read_with_its_splits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "test"):
        names = [f"data-0000{number}-of-00002.arrow" for number in range(2)]
        for name in (*names, "cache-1f.arrow"):
            table = pa.table({"text": [f"{split} {name}"]})
            (tmp_path / split).mkdir(exist_ok=True)
            with pa.ipc.new_stream(tmp_path / split / name, table.schema) as writer:
                writer.write_table(table)
        state = {"_data_files": [{"filename": name} for name in names], "_split": split}
        add(tmp_path / split / "state.json", json.dumps(state))
        add(tmp_path / split / "dataset_info.json", '{"features": {}}')
    add(tmp_path / "dataset_dict.json", '{"splits": ["train", "test"]}')

    found = find_parts(spec(tmp_path))

    assert [(item["text"], part.split) for part in found for item in read_part(part)] == [
        ("train data-00000-of-00002.arrow", None),
        ("train data-00001-of-00002.arrow", None),
        ("test data-00000-of-00002.arrow", "test"),
        ("test data-00001-of-00002.arrow", "test"),
    ]
    assert capsys.readouterr().err == (
        "source s: files that are not read: 2 .arrow (of no saved data set), 1 dataset_dict.json "
        "(about the data), 2 dataset_info.json (about the data), 2 state.json (about the data)\n"
    )


def test_a_format_that_is_asked_for_leaves_other_files_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tmp_path / "1.jsonl", '{"text": "a", "messages": []}\n')
    add(tmp_path / "a.abc", f"X:1\n{TUNE}")

    found = find_parts(spec(tmp_path, format="text"))

    assert read(found) == [{"id": "s/1.jsonl:1", "source": "s", "text": "a"}]
    assert "not read: 1 .abc (not format text)" in capsys.readouterr().err


def test_a_bad_first_line_does_not_hide_the_format(tmp_path: Path) -> None:
    add(tmp_path / "0.jsonl", "")
    add(tmp_path / "a.jsonl", '{"tex\n5\n{"abc": "X:1\\nK:D\\nabc"}\n')

    found = find_parts(spec(tmp_path))

    assert [part.format for part in found] == ["abc"]
    assert len(read(found)) == 3


def test_fields_of_no_format_are_named(tmp_path: Path) -> None:
    add(tmp_path / "a.jsonl", '{"stem": "Which?", "options": {}}\n')

    with pytest.raises(InputError) as caught:
        find_parts(spec(tmp_path))

    message = str(caught.value)
    assert "a.jsonl is of no format that is expected; fields found: stem, options;" in message
    assert "\n  instruction: instruction, output or response\n" in message
    assert "\n  abc: abc notation or abc\n" in message
    assert message.endswith("the kinds of files that are, such as data.sources.s.kinds=[abc]")


def test_another_format_than_asked_for_names_both(tmp_path: Path) -> None:
    add(tmp_path / "a.jsonl")

    with pytest.raises(
        InputError,
        match=r"found: text; fields expected: conversations \(format=sharegpt\)",
    ):
        find_parts(spec(tmp_path, format="sharegpt"))


@pytest.mark.parametrize(
    ("name", "content", "settings", "message"),
    [
        ("a.jsonl", "", {"format": "csv"}, r"s\.format=csv is not known; use auto or one of recor"),
        ("a.jsonl", "", {}, "holds no record: it is empty, or an object without a list; records"),
        ("a.jsonl", "{", {}, r"holds no record: its first entry is not valid JSON \(line 1, col"),
        ("a.json", "[1]", {}, "holds no record: its first entry is int; records are objects"),
        ("a.abc", "X:1", {"format": "openai"}, r"format=openai fits no file of .* or \.txt alone"),
        (
            "a.doc",
            "",
            {},
            r"holds no file that can be read \(found: 1 \.doc\); .* \.jsonl, .*\.zip",
        ),
        ("a.zip", "", {}, "a.zip cannot be read to its end: File is not a zip file; replace"),
    ],
)
def test_what_cannot_be_read_is_said(
    tmp_path: Path, name: str, content: str, settings: dict[str, Any], message: str
) -> None:
    add(tmp_path / name, content)

    with pytest.raises(InputError, match=message):
        find_parts(spec(tmp_path, **settings))


def test_a_missing_location_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s\.location=.*absent is not there; give a file or a"):
        find_parts(spec(tmp_path / "absent"))


def test_zips_are_read_member_by_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in ("b/2.abc", "b/1.abc", "__MACOSX/b/1.abc", "b/.x.abc"):
            file.writestr(name, f"X:1\n{TUNE}\nX:2\n{TUNE}")

    assert ids(find_parts(spec(tmp_path))) == [
        "s/a.zip/b/1.abc:1",
        "s/a.zip/b/1.abc:8",
        "s/a.zip/b/2.abc:1",
        "s/a.zip/b/2.abc:8",
    ]


@pytest.mark.parametrize("name", ["../a.jsonl", "/a.jsonl", "C:/a.jsonl"])
def test_a_zip_that_points_out_of_itself_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(name, "{}")

    with pytest.raises(InputError, match=rf"a\.zip has a member that points out of it: {name}"):
        find_parts(spec(tmp_path / "a.zip"))


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("a.jsonl", "{}")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # general purpose bit 0: encrypted
    add(tmp_path / "a.zip", bytes(content))

    with pytest.raises(InputError, match=r"a\.zip is encrypted \(a\.jsonl\); unpack it yourself"):
        find_parts(spec(tmp_path / "a.zip"))


def test_the_free_books_keep_their_names_and_ids() -> None:
    found = find_parts(source_spec("books", "books", None))
    records = read(found)

    assert sorted({part.source for part in found}) == sorted(FREE_BOOKS)
    assert all(isinstance(item, dict) for item in records)
    assert len(records) == 4248
    assert "oneills1850/1701-1780.abc:413" in {item["id"] for item in records}
    assert read(find_parts(source_spec("books", "books", None, max_records=2000))) == records[:2000]


def test_without_music21_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "find_spec", lambda _: None)

    with pytest.raises(NotAvailableError, match="not installed; pip install music21, or choose"):
        find_parts(source_spec("books", "books", None))


def test_a_prepared_corpus_keeps_ids_sources_and_splits(tmp_path: Path) -> None:
    record = {"id": "b/1.abc:1", "source": "b", "text": "a", "fingerprint_group": "g"}
    with artifacts.writing(tmp_path / "corpus", "corpus", "0" * 12, {}) as (folder, _):
        for name in ("train/00001", "train/00000", "test/00000"):
            (folder / "records" / name).parent.mkdir(parents=True, exist_ok=True)
            write_jsonl(folder / "records" / f"{name}.jsonl", [{**record, "id": name}])

    found = find_parts(spec(tmp_path / "corpus", reader="corpus"))

    assert [(part.source, part.split) for part in found] == [("s", "train"), ("s", "test")]
    assert read(found) == [
        {**record, "id": "train/00000"},
        {**record, "id": "train/00001"},
        {**record, "id": "test/00000"},
    ]


def test_a_corpus_without_records_is_an_error(tmp_path: Path) -> None:
    with artifacts.writing(tmp_path / "corpus", "corpus", "0" * 12, {}) as (folder, _):
        (folder / "rejected.jsonl").write_text("")

    with pytest.raises(ArtifactError, match="is a corpus without records; prepare it again"):
        find_parts(spec(tmp_path / "corpus", reader="corpus"))


def test_a_folder_that_is_no_corpus_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not an artifact"):
        find_parts(spec(tmp_path, reader="corpus"))


def test_links_are_followed_once_and_broken_ones_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    add(data / "own" / "a.abc", f"X:1\n{TUNE}")
    add(elsewhere / "b.abc", f"X:2\n{TUNE}")
    (data / "linked").symlink_to(elsewhere)
    (data / "again").symlink_to(data / "own")
    (data / "own" / "circle").symlink_to(data)
    (data / "lost.abc").symlink_to(tmp_path / "gone.abc")
    assert ids(find_parts(spec(data))) == ["s/linked/b.abc:1", "s/own/a.abc:1"]
    told = capsys.readouterr().err
    assert "1 link that leads nowhere" in told
    assert "2 link to a folder that is read already" in told


def test_a_file_name_of_any_bytes_is_read(tmp_path: Path) -> None:
    name = os.fsdecode(b"Bourr\xe9e.abc")
    add(tmp_path / name, f"X:1\n{TUNE}")
    assert ids(find_parts(spec(tmp_path))) == ["s/Bourr\\xe9e.abc:1"]
