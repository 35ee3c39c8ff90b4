"""Files of every format that sources are read from, made from the tune books of music21.

Layouts follow the data sets that they are named after: MusicPile (text in Parquet), MusicPile-sft
(marks in the fields), irishman, Alpaca, and exports of chat tools.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from musicllm.data.sources import find_parts, read_part
from tests.helpers import source_spec

Row = dict[str, Any]
Turns = list[tuple[str, str]]


def tunes(num_records: int) -> list[str]:
    """Return the first tunes of the books, at most the 4,248 that they hold."""
    parts = find_parts(source_spec("books", "books", None))
    found = (read for part in parts for read in read_part(part))
    texts = [read["text"].strip() for read in islice(found, num_records) if isinstance(read, dict)]
    assert len(texts) == num_records, f"the books hold {len(texts)} tunes, not {num_records}"
    return texts


def turns(tune: str) -> Turns:
    """Return what a user asks about a tune and what an assistant answers, twice."""
    field = {letter: _field(tune, letter) for letter in "TRMK"}
    request = f"Write a {field['R'] or 'tune'} in {field['K']}, {field['M']} time."
    return [(request, tune), ("What is it called?", f"It is called “{field['T']}”.")]


def write_samples(folder: Path, num_records: int) -> dict[str, Path]:
    """Write a source of every format and container, each with this many records.

    Args:
        folder: is made; files of one call take about 15 times the tunes' size.
        num_records: of every source, at most 4,248.

    Returns:
        Name of the sample -> the `location` of a source with reader=files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = tunes(num_records)
    paths = {}
    for name, (suffix, row, write) in _FILES.items():
        paths[name] = folder / f"{name}{suffix}"
        write(paths[name], [row(number, text) for number, text in enumerate(texts)])
    for name, make in _FOLDERS.items():
        paths[name] = make(folder, texts)
    return paths


def text_row(number: int, tune: str) -> Row:
    """Return a row as in MusicPile."""
    return {"id": number, "text": tune, "src": "https://example.org/books"}


def irishman_row(_: int, tune: str) -> Row:
    return {"control code": f"S:2\nB:{len(tune) % 9}\nE:5\n", "abc notation": tune}


def alpaca_row(_: int, tune: str) -> Row:
    (question, answer), *_ = turns(tune)
    first, _, rest = question.partition(" in ")
    return {"instruction": first, "input": rest, "output": answer, "text": "the prompt in full"}


def marked_row(number: int, tune: str) -> Row:
    """Return a row as in MusicPile-sft, whose marks stand in one of three ways."""
    (question, answer), (then, after) = turns(tune)
    match number % 3:
        case 0:
            row = (f"Human: {question}", " </s> ", f"Assistant: {answer} </s> ")
        case 1:
            row = (f"Human: {question} </s> Assistant: ", "", f"{answer}</s>")
        case _:
            before = f"Human: {question} </s> Assistant: {answer} </s> "
            row = (f"{before}Human: {then} </s> Assistant: ", "", after)
    return {**dict(zip(("instruction", "input", "output"), row, strict=True)), "id": number}


def openai_row(_: int, tune: str) -> Row:
    return {"messages": [{"role": "system", "content": "You compose."}, *_messages(tune)]}


def openai_parts_row(_: int, tune: str) -> Row:
    parted = [
        {**message, "content": [{"type": "text", "text": message["content"]}]}
        for message in _messages(tune)
    ]
    return {"messages": parted}


def sharegpt_row(number: int, tune: str) -> Row:
    said = [
        {"from": speaker, "value": text}
        for pair in turns(tune)
        for speaker, text in zip(("human", "gpt"), pair, strict=True)
    ]
    return {"id": f"chat_{number}", "conversations": said}


def xtuner_row(_: int, tune: str) -> Row:
    pairs = turns(tune)
    exchanges = [{"input": question, "output": answer} for question, answer in pairs]
    return {"conversation": [{"system": "You compose.", **exchanges[0]}, *exchanges[1:]]}


def completion_row(_: int, tune: str) -> Row:
    (question, answer), *_ = turns(tune)
    return {"prompt": question, "completion": answer}


def question_row(_: int, tune: str) -> Row:
    (question, answer), *_ = turns(tune)
    return {"question": question, "answer": answer}


def record_row(number: int, tune: str) -> Row:
    return {"id": f"made/{number}", "source": "made", "messages": _messages(tune), "task": "form"}


def write_jsonl(path: Path, rows: Iterable[Row], pack: Callable[[bytes], bytes] = bytes) -> None:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(pack("".join(lines).encode()))


def write_parquet(path: Path, rows: Sequence[Row], row_group_size: int = 1000) -> None:
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=row_group_size)


def write_arrow(path: Path, rows: Sequence[Row]) -> None:
    table = pa.Table.from_pylist(list(rows))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=500)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    dialect = "excel-tab" if path.suffix == ".tsv" else "excel"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), dialect=dialect)
        writer.writeheader()
        writer.writerows(rows)


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


def _write_json(path: Path, rows: Sequence[Row]) -> None:
    path.write_text(json.dumps(list(rows), ensure_ascii=False, indent=1), encoding="utf-8")


def _write_splits(path: Path, rows: Sequence[Row]) -> None:
    half = len(rows) // 2
    splits = {"version": "1.0", "train": list(rows[:half]), "validation": list(rows[half:])}
    path.write_text(json.dumps(splits), encoding="utf-8")


def _packed(pack: Callable[[bytes], bytes]) -> Callable[[Path, Sequence[Row]], None]:
    return lambda path, rows: write_jsonl(path, rows, pack)


def _book(folder: Path, texts: Sequence[str]) -> Path:
    path = folder / "book.abc"
    path.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return path


def _books_zip(folder: Path, texts: Sequence[str]) -> Path:
    path = folder / "books.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for start in range(0, len(texts), 100):
            book = "\n\n".join(texts[start : start + 100]) + "\n"
            file.writestr(f"books/{start:05}.abc", book)
    return path


def _rows_zip(folder: Path, texts: Sequence[str]) -> Path:
    path = folder / "rows.zip"
    inner = folder / "inner.parquet"
    half = len(texts) // 2
    write_jsonl(folder / "inner.jsonl", [text_row(0, text) for text in texts[:half]])
    write_parquet(inner, [text_row(0, text) for text in texts[half:]])
    with zipfile.ZipFile(path, "w") as file:
        for name in ("inner.jsonl", "inner.parquet"):
            file.write(folder / name, name)
            (folder / name).unlink()
    return path


def _folder_of(suffix: str) -> Callable[[Path, Sequence[str]], Path]:
    def make(folder: Path, texts: Sequence[str]) -> Path:
        inner = folder / f"folder_of_{suffix}"
        for number, text in enumerate(texts):
            path = inner / f"{number // 1000}" / f"{number:05}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n", encoding="utf-8")
        return inner

    return make


def _messages(tune: str) -> list[dict[str, str]]:
    return [
        {"role": role, "content": text}
        for pair in turns(tune)
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _field(tune: str, letter: str) -> str:
    found = re.search(rf"^{letter}:\s*(\S.*)$", tune, re.MULTILINE)
    return found[1].strip() if found else ""


_FILES: dict[str, tuple[str, Callable[[int, str], Row], Callable[[Path, list[Row]], None]]] = {
    "text": (".jsonl", text_row, write_jsonl),
    "musicpile": (".parquet", text_row, write_parquet),
    "musicpile_sft": (".parquet", marked_row, write_parquet),
    "irishman": (".json", irishman_row, _write_json),
    "alpaca": (".json", alpaca_row, _write_json),
    "splits": (".json", alpaca_row, _write_splits),
    "lines": (".json", text_row, write_jsonl),
    "openai": (".jsonl", openai_row, write_jsonl),
    "openai_parts": (".jsonl.gz", openai_parts_row, _packed(gzip.compress)),
    "openai_columns": (".parquet", openai_row, write_parquet),
    "sharegpt": (".jsonl.zst", sharegpt_row, _packed(zstd)),
    "xtuner": (".json", xtuner_row, _write_json),
    "completions": (".csv", completion_row, write_csv),
    "questions": (".tsv", question_row, write_csv),
    "records": (".jsonl.xz", record_row, _packed(lzma.compress)),
    "text_bz2": (".ndjson.bz2", text_row, _packed(bz2.compress)),
    "text_arrow": (".arrow", text_row, write_arrow),
}
_FOLDERS: dict[str, Callable[[Path, Sequence[str]], Path]] = {
    "book": _book,
    "books_zip": _books_zip,
    "rows_zip": _rows_zip,
    "folder_of_abc": _folder_of("abc"),
    "folder_of_txt": _folder_of("txt"),
}
