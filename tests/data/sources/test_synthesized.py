"""The reader of what a teacher wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from musicllm import artifacts
from musicllm.data.settings import SourceSpec
from musicllm.data.sources import find_parts, read_part
from musicllm.errors import ArtifactError
from tests.helpers import source_spec

TURNS = [{"role": "user", "content": "你是谁？"}, {"role": "assistant", "content": "我是助手。"}]
RECORDS: list[dict[str, Any]] = [
    {"id": "a", "source": "x", "text": "A fugue has a subject.", "provenance": {"teacher": "t"}},
    {"id": "b", "source": "x", "messages": TURNS, "provenance": {"teacher": "t"}},
]


def synthesized(folder: Path, records: list[dict[str, Any]], kind: str = "records") -> SourceSpec:
    with artifacts.writing(folder, kind, "f", {}) as (place, facts):
        lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (place / "records.jsonl").write_text("".join(lines), encoding="utf-8")
        facts["teacher"] = "t"
    return source_spec("texts", "synthesized", str(folder))


def test_records_are_read_and_named_after_their_source(tmp_path: Path) -> None:
    spec = synthesized(tmp_path / "records", RECORDS)
    records = [record for part in find_parts(spec) for record in read_part(part)]
    assert [record["source"] for record in records] == ["texts", "texts"]
    assert [record.get("text") for record in records] == ["A fugue has a subject.", None]
    assert records[1]["messages"] == TURNS


def test_a_teacher_of_whom_nothing_fit_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find_parts(synthesized(tmp_path / "records", [])) == []
    assert "has no record, since no answer of t fit" in capsys.readouterr().err.replace("\n", " ")


def test_another_artifact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="records"):
        find_parts(synthesized(tmp_path / "records", RECORDS, kind="corpus"))
