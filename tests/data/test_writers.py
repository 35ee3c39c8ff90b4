"""Formats of other programs: their bytes, and that what is written is read back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from musicllm.data.sources import find_parts, read_part
from musicllm.data.writers import WRITERS
from tests.helpers import source_spec

TEXT = {"id": "1", "source": "s", "text": "X:1\nK:D\nDEFG |]"}
CHAT = {
    "id": "2",
    "source": "s",
    "task": "name_key",
    "messages": [
        {"role": "system", "content": "你是作曲家。"},
        {"role": "user", "content": "Key?"},
        {"role": "assistant", "content": "D", "weight": 0},
        {"role": "user", "content": "Sure?"},
        {"role": "assistant", "content": "Yes"},
    ],
}
BRIEF = {**CHAT, "messages": CHAT["messages"][1:]}


def written(*records: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    assert WRITERS["xtuner"].write(iter(records), file) == len(records)
    return file.getvalue()


def test_xtuner_is_one_list_with_an_object_a_line() -> None:
    assert written(TEXT, CHAT).decode() == (
        "[\n"
        '{"conversation":[{"system":"","input":"","output":"X:1\\nK:D\\nDEFG |]"}]},\n'
        '{"conversation":[{"system":"你是作曲家。","input":"Key?","output":"D",'
        '"output_with_loss":false},{"input":"Sure?","output":"Yes"}]}\n'
        "]\n"
    )
    assert written() == b"[]\n"
    assert json.loads(written(BRIEF))[0]["conversation"][0]["system"] == ""


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(written(TEXT, CHAT, BRIEF))
    parts = find_parts(source_spec("s", "files", str(tmp_path / "train.json")))
    records = [record for part in parts for record in read_part(part)]
    assert [part.format for part in parts] == ["xtuner"]
    for record, original in zip(records, (TEXT, CHAT, BRIEF), strict=True):
        assert isinstance(record, dict)
        assert record.get("text") == original.get("text")
        assert record.get("messages") == original.get("messages")
