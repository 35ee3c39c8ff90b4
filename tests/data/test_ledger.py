from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from musicllm.data.ledger import DropFile, Ledger
from musicllm.data.records import Drop
from musicllm.errors import StageError

FAULTS = [Drop("b", f"b/{i}", "does not parse", "line 3: odd") for i in range(2)]
LEFTOVER = Drop("a", "a/1", "is a duplicate", "of a/0", is_fault=False)


def ledger() -> Ledger:
    books = Ledger(Counter(a=10, b=10))
    for drop in (*FAULTS, LEFTOVER):
        books.enter(drop)
    return books


def test_drops_are_counted_by_source_and_reason() -> None:
    assert ledger().counts() == {"a": {"is a duplicate": 1}, "b": {"does not parse": 2}}


def test_faults_up_to_the_limit_pass_and_leftovers_do_not_count() -> None:
    ledger().check(max_reject_fraction=0.1)


def test_more_faults_stop_with_the_reasons() -> None:
    with pytest.raises(StageError) as caught:
        ledger().check(max_reject_fraction=0.09)

    assert str(caught.value) == (
        "2 of 20 records (10.0%) were dropped; data.max_reject_fraction=0.09 allows 9.0%:\n"
        "  2 x does not parse: b/0: line 3: odd"
    )


def test_nothing_read_is_an_error_too() -> None:
    with pytest.raises(StageError, match="no record was read"):
        Ledger().check(max_reject_fraction=1.0)


def test_ledgers_of_parts_add_up_and_survive_json() -> None:
    total = Ledger()
    for _ in range(2):
        total.add(Ledger.from_json(json.loads(json.dumps(ledger().to_json()))))
    assert total.num_read == Counter(a=20, b=20)
    assert total.counts() == {"a": {"is a duplicate": 2}, "b": {"does not parse": 4}}
    assert total.faults == Counter({"does not parse": 4})
    assert total.examples == {"does not parse": "b/0: line 3: odd"}


def test_every_drop_is_written(tmp_path: Path) -> None:
    books = Ledger()
    with DropFile(tmp_path / "rejected.jsonl", books) as file:
        file.enter([*FAULTS, LEFTOVER])

    assert books.counts() == {"b": {"does not parse": 2}, "a": {"is a duplicate": 1}}
    lines = (tmp_path / "rejected.jsonl").read_text().splitlines()
    assert len(lines) == 3
    assert json.loads(lines[0]) == {
        "source": "b",
        "place": "b/0",
        "reason": "does not parse",
        "detail": "line 3: odd",
        "is_fault": True,
    }
