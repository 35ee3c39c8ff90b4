"""Every format and container, made from real tunes and read back."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm.data.records import Record, texts_of
from musicllm.data.sources import find_parts, read_part
from tests.data.sources import samples
from tests.helpers import source_spec

FORMATS = {
    "text": "text",
    "musicpile": "text",
    "musicpile_sft": "instruction",
    "irishman": "abc",
    "alpaca": "instruction",
    "splits": "instruction",
    "lines": "text",
    "openai": "openai",
    "openai_parts": "openai",
    "openai_columns": "openai",
    "sharegpt": "sharegpt",
    "xtuner": "xtuner",
    "completions": "prompt_completion",
    "questions": "prompt_completion",
    "records": "record",
    "text_bz2": "text",
    "text_arrow": "text",
    "book": "abc",
    "books_zip": "abc",
    "rows_zip": "text",
    "folder_of_abc": "abc",
    "folder_of_txt": "text",
}


def _check(folder: Path, num_records: int) -> None:
    tunes = samples.tunes(num_records)
    paths = samples.write_samples(folder, num_records)
    assert set(paths) == set(FORMATS)
    for name, path in paths.items():
        parts = find_parts(source_spec(name, "files", str(path)))
        records: list[Record] = []
        for part in parts:
            for item in read_part(part):
                assert isinstance(item, dict), item
                records.append(item)
        assert {part.format for part in parts} == {FORMATS[name]}
        assert len({record["id"] for record in records}) == num_records, name
        for record, tune in zip(records, tunes, strict=True):
            assert _is_about(tune, record), record


def _is_about(tune: str, record: Record) -> bool:
    """Whether a record holds a tune, or the start of a conversation about it, and nothing else."""
    if "text" in record:
        return bool(record["text"].rstrip("\n") == tune)
    (request, answer), (then, after) = samples.turns(tune)
    found = [text for text in texts_of(record) if text != "You compose."]
    found[0] = found[0].replace("\n", " in ")
    expected = [request, answer, then, after]
    return len(found) in (2, 4) and found == expected[: len(found)]


def test_every_format_and_container_is_read_back(tmp_path: Path) -> None:
    _check(tmp_path, 40)


@pytest.mark.slow
def test_every_format_and_container_of_all_books_is_read_back(tmp_path: Path) -> None:
    _check(tmp_path, 4248)
