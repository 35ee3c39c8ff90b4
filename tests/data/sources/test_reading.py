"""What each kind of file becomes, entry by entry, and what happens to what is wrong in it."""

from __future__ import annotations

import gzip
import json
import lzma
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from musicllm.data.records import Drop, Record
from musicllm.data.sources import find_parts, read_part
from musicllm.errors import InputError
from musicllm.files import pieces
from musicllm.files.kinds import text
from tests.data.sources.samples import write_jsonl, write_parquet, zstd
from tests.helpers import source_spec


def read(path: Path, **settings: Any) -> list[Record | Drop]:
    found = find_parts(source_spec("s", "files", str(path), **settings))
    return [item for part in found for item in read_part(pickle.loads(pickle.dumps(part)))]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def told(items: list[Record | Drop]) -> list[tuple[str, str]]:
    """Return place and text of records, place and reason with detail of drops."""
    return [
        (item["id"], item["text"])
        if isinstance(item, dict)
        else (item.place, f"{item.reason}: {item.detail}")
        for item in items
    ]


def test_bad_lines_become_drops_and_reading_goes_on(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + b"\n".join(
        [
            b'{"text": "one"}',
            b"",
            b'{"text": "two"',
            b'{"text": "\xff"}',
            b'["three"]',
            b'{"body": "four", "n": 4}',
            b'{"text": "five"}',
        ]
    )

    items = read(write(tmp_path / "a.jsonl", content))

    assert told(items) == [
        ("s/a.jsonl:1", "one"),
        ("s/a.jsonl:3", "is not valid JSON: line 3, column 15: unexpected end of data"),
        ("s/a.jsonl:4", "is not UTF-8: line 4, byte 11: invalid start byte"),
        ("s/a.jsonl:5", "is not an object: found list"),
        ("s/a.jsonl:6", "has other fields: found body, n; expected text or content or document"),
        ("s/a.jsonl:7", "five"),
    ]
    assert items[0] == {"id": "s/a.jsonl:1", "source": "s", "text": "one"}
    assert all(item.source == "s" and item.is_fault for item in items if isinstance(item, Drop))


def test_cutting_changes_neither_records_nor_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"text": f"{number} " * (number % 50 + 1)} for number in range(1000)]
    write_jsonl(tmp_path / "a.jsonl", rows)
    write(tmp_path / "b.jsonl", b'\xef\xbb\xbf{"text": "b"}\n\n{"text": "c"}')
    write_parquet(tmp_path / "c.parquet", rows, row_group_size=100)
    whole = read(tmp_path)

    for size in (100, 1000, 5000):
        monkeypatch.setattr(pieces, "PIECE_BYTES", size)
        assert len(find_parts(source_spec("s", "files", str(tmp_path)))) > 10
        assert read(tmp_path) == whole

    ids = [item["id"] for item in whole if isinstance(item, dict)]
    assert ids[998:1003] == [
        "s/a.jsonl:999",
        "s/a.jsonl:1000",
        "s/b.jsonl:1",
        "s/b.jsonl:3",
        "s/c.parquet:1",
    ]
    assert len(set(ids)) == len(ids) == 2002


def test_json_lists_splits_and_lines(tmp_path: Path) -> None:
    rows = [{"text": "a"}, {"text": "b", "nested": {"x": [{"text": "no"}]}}, 5]
    write(tmp_path / "list.json", json.dumps(rows))
    wrapped = {"version": 1, "meta": {"of": ["x"]}, "data": rows[:1], "more": rows[1:]}
    write(tmp_path / "dict.json", b"\xef\xbb\xbf" + json.dumps(wrapped).encode())
    write_jsonl(tmp_path / "lines.json", rows[:2])

    assert told(read(tmp_path)) == [
        ("s/dict.json:1", "a"),
        ("s/dict.json:2", "b"),
        ("s/dict.json:3", "is not an object: found int"),
        ("s/lines.json:1", "a"),
        ("s/lines.json:2", "b"),
        ("s/list.json:1", "a"),
        ("s/list.json:2", "b"),
        ("s/list.json:3", "is not an object: found int"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_a_file_are_line_feeds_in_its_texts(tmp_path: Path, end: str) -> None:
    rows = ("text,key", '"X:1', "K:D", 'abc|",D', '"two', '",G')
    write(tmp_path / "a.csv", "".join(row + end for row in rows).encode())
    write(tmp_path / "b.txt", f"one{end}two{end}".encode())

    assert told(read(tmp_path)) == [
        ("s/a.csv:2", "X:1\nK:D\nabc|"),
        ("s/a.csv:5", "two\n"),
        ("s/b.txt:1", "one\ntwo\n"),
    ]


def test_csv_with_quoted_line_breaks(tmp_path: Path) -> None:
    content = 'id,text\r\n1,"one\n""two"""\r\n2\r\n3,drei\xfc\r\n4,"five"x\r\n5,six\r\n6,"open'
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbf" + content.encode("latin-1"))

    assert told(read(path)) == [
        ("s/a.csv:2", 'one\n"two"'),
        ("s/a.csv:4", "has other fields: 1 cells, expected 2"),
        ("s/a.csv:5", "is not UTF-8: byte 0xfc in its cells"),
        ("s/a.csv:6", "is not valid CSV: lines 6 to 6: ',' expected after '\"'"),
        ("s/a.csv:7", "six"),
        ("s/a.csv:8", "is not valid CSV: lines 8 to 8: unexpected end of data"),
    ]


def test_a_text_is_one_document_and_a_long_one_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "TEXT_BYTES", 10)
    long = "12345678901\n\nabc\n123456\n\n1234567890\n1234567890\nend\n"
    write(tmp_path / "long.txt", long)
    write(tmp_path / "none.txt", "\n")
    write(tmp_path / "short.txt", "a\n\nb")
    write(tmp_path / "wrong.txt", b"a\n\xe9")

    found = told(read(tmp_path))

    assert found == [
        ("s/long.txt:1", "12345678901\n"),
        ("s/long.txt:2", "\nabc\n123456\n"),
        ("s/long.txt:5", "\n1234567890\n1234567890\n"),
        ("s/long.txt:8", "end\n"),
        ("s/none.txt:1", "is empty: text is empty"),
        ("s/short.txt:1", "a\n\nb"),
        ("s/wrong.txt:1", "is not UTF-8: line 2, byte 1: unexpected end of data"),
    ]
    assert "".join(text for _, text in found[:4]) == long


def test_tunes_are_read_by_the_line_of_their_x_field(tmp_path: Path) -> None:
    book = b"% title page\n\nX:1\nT:Caf\xe9\nK:D\nabc|\n\nX:2\nK:G\ngab|\n"
    write(tmp_path / "reels" / "a.abc", book)
    write(tmp_path / "b.abc.gz", gzip.compress(book))
    write(tmp_path / "empty.abc", b"")

    assert told(read(tmp_path)) == [
        ("s/b.abc.gz:3", "X:1\nT:Café\nK:D\nabc|"),
        ("s/b.abc.gz:8", "X:2\nK:G\ngab|"),
        ("s/empty.abc:0", "is not a tune: the file is empty"),
        ("s/reels/a.abc:3", "X:1\nT:Café\nK:D\nabc|"),
        ("s/reels/a.abc:8", "X:2\nK:G\ngab|"),
    ]


def test_both_forms_of_arrow_files(tmp_path: Path) -> None:
    table = pa.table({"text": [str(number) for number in range(600)], "other": [0] * 600})
    for name, new in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        path = str(tmp_path / f"{name}.arrow")
        with pa.OSFile(path, "wb") as file, new(file, table.schema) as writer:
            writer.write_table(table)

    found = told(read(tmp_path))

    assert found[:2] == [("s/file.arrow:1", "0"), ("s/file.arrow:2", "1")]
    assert found[-1] == ("s/stream.arrow:600", "599")
    assert len(found) == 1200


def test_a_zstd_file_of_two_frames_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl.zst", zstd(b'{"text": "a"}\n') + zstd(b'{"text": "b"}\n'))

    assert told(read(path)) == [("s/a.jsonl.zst:1", "a"), ("s/a.jsonl.zst:2", "b")]


@pytest.mark.parametrize(
    ("name", "pack", "cause"),
    [
        ("a.jsonl.gz", gzip.compress, "Compressed file ended before"),
        ("a.jsonl.xz", lzma.compress, "Compressed file ended before"),
        ("a.jsonl.zst", zstd, "Truncated compressed stream"),
        (
            "b.json",
            lambda data: b"[" + data.replace(b"some", b"\xff"),
            "lexical error: invalid bytes",
        ),
        ("a.parquet", bytes, "Parquet magic bytes not found"),
        ("a.json", lambda data: data.replace(b"\n", b",").replace(b"{", b"[{", 1), "parse error"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(
    tmp_path: Path, name: str, pack: Any, cause: str
) -> None:
    content = pack(b'{"text": "some words"}\n' * 500)
    path = write(tmp_path / name, content[: len(content) - 9])

    with pytest.raises(InputError, match=rf"{name} cannot be read to its end: .*{cause}.*; repla"):
        read(path)


def test_only_the_first_records_are_read(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"text": "a"}, {"body": "b"}, {"text": "c"}])
    write_jsonl(tmp_path / "b.jsonl.gz", [{"text": "d"}, {"text": "e"}], gzip.compress)
    write(tmp_path / "z.jsonl.gz", b"damaged, but never opened")
    whole = read(tmp_path, max_records=5)

    for count in range(5):
        assert read(tmp_path, max_records=count) == whole[:count]
    assert [place for place, _ in told(whole)][2:] == [
        "s/a.jsonl:3",
        "s/b.jsonl.gz:1",
        "s/b.jsonl.gz:2",
    ]
