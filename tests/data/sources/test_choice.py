"""Which rows of a source are read: by a field, and by length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.records import Drop, Record
from musicllm.data.sources import find_parts, read_part
from tests.data.sources.samples import write_parquet
from tests.helpers import source_spec

ROWS: list[dict[str, Any]] = [
    {"instruction": f"Human: Tune {n}?", "input": "", "output": "X:1" * n, "src": src, "id": n}
    for n, src in enumerate(["wiki", "a/irishman", "wiki", "b/irishman", None, "irishman"], start=1)
]
WHERE = {"where": (("src", "irishman"),)}


def read(path: Path, **settings: Any) -> list[Record | Drop]:
    parts = find_parts(source_spec("s", "files", str(path), **settings))
    return [item for part in parts for item in read_part(part)]


def numbers(items: list[Record | Drop]) -> list[int]:
    return [int(item["id"].rpartition(":")[2]) for item in items if isinstance(item, dict)]


@pytest.fixture(params=["jsonl", "parquet"])
def rows(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"rows.{request.param}"
    if request.param == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    else:
        write_parquet(path, ROWS)
    return path


def test_rows_are_chosen_by_what_a_field_contains(rows: Path) -> None:
    items = read(rows, **WHERE)
    assert numbers(items) == [2, 4, 6]
    drops = [item for item in items if isinstance(item, Drop)]
    assert [(d.place.rpartition(":")[2], d.reason, d.is_fault) for d in drops] == [
        ("1", "is not chosen by where", False),
        ("3", "is not chosen by where", False),
        ("5", "lacks a field of where", True),
    ]
    assert drops[0].detail == "src is 'wiki', without 'irishman'"
    assert drops[2].detail.startswith("src; found ")
    record = next(item for item in items if isinstance(item, dict))
    assert record["messages"][0]["content"] == "Tune 2?"
    assert "src" not in record


def test_a_field_that_is_nowhere_is_a_fault_of_every_row(rows: Path) -> None:
    items = read(rows, where=(("scr", "irishman"),))
    assert [(item.reason, item.is_fault) for item in items if isinstance(item, Drop)] == (
        [("lacks a field of where", True)] * 6
    )


def test_records_have_a_least_number_of_characters(tmp_path: Path) -> None:
    path = tmp_path / "irishman.json"
    path.write_text(json.dumps([{"abc notation": "x" * n} for n in (2900, 2901, 3000)]))
    items = read(path, min_chars=2901)
    assert numbers(items) == [2, 3]
    drop = items[0]
    assert isinstance(drop, Drop)
    assert (drop.reason, drop.detail, drop.is_fault) == (
        "has fewer characters than min_chars", "2,900 characters", False
    )  # fmt: skip


def test_characters_of_a_conversation_are_those_of_all_its_messages(rows: Path) -> None:
    # "Tune n?" has 7 characters, the answer 3 n
    assert numbers(read(rows, min_chars=7 + 12)) == [4, 5, 6]


def test_rows_that_are_left_out_do_not_count_against_the_limit(rows: Path) -> None:
    items = read(rows, **WHERE, max_records=2)
    assert numbers(items) == [2, 4]
    assert len(items) == 4
    assert numbers(read(rows, max_records=2)) == [1, 2]
