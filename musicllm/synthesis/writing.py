"""Writes what came of a run: records with their provenance, rejected items, and counts.

Records that a kind has without a teacher (`Synthesis.given`) come first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from musicllm.data.sources.readers.synthesized import RECORDS
from musicllm.errors import InputError
from musicllm.synthesis.dialogue import Dialogues, Settled
from musicllm.synthesis.kind import Item

REJECTED = "rejected.jsonl"

GIVEN = {"teacher": "written by hand"}
"""The provenance of records without a teacher."""


def write(
    folder: Path,
    items: Iterable[Item],
    dialogues: Dialogues,
    provenance: Mapping[str, Any],
    *,
    source: str,
) -> dict[str, Any]:
    """Write `records.jsonl` and `rejected.jsonl`, both in the order of the items.

    Args:
        folder: of the artifact.
        items: all of them, each settled.
        dialogues: have the answers.
        provenance: of every record: `teacher`, `prompt` and `prompt_version`.
        source: of records whose kind names none.

    Returns:
        Counts: `num_items`, `num_records`, `num_given` of them, `num_rejected`, `num_answers`,
        items of `rejected` by reason and of `tries` by their number.

    Raises:
        InputError: two records have one id.
    """
    reasons, tries, ids = Counter[str](), Counter[int](), set[str]()
    counts = Counter[str]()
    with (folder / RECORDS).open("wb") as records, (folder / REJECTED).open("wb") as rejected:
        for record in dialogues.synthesis.given():
            ids.add(record["id"])
            _line(records, {**record, "provenance": GIVEN})
            counts["num_records"] += 1
            counts["num_given"] += 1
        for item in items:
            settled = dialogues.state(item)
            assert isinstance(settled, Settled), f"{item.id} has not been asked about"
            counts["num_items"] += 1
            tries[settled.tries] += 1
            counts["num_answers"] += settled.tries
            if not settled.is_accepted:
                counts["num_rejected"] += 1
                reasons[settled.value.reason] += 1
                _line(rejected, _rejection(settled))
                continue
            for content in dialogues.synthesis.records(item, settled.value):
                record = {"id": item.id, "source": source, **content}
                if record["id"] in ids:
                    raise InputError(f"two records have the id {record['id']}")
                ids.add(record["id"])
                origin = {
                    **provenance,
                    "seed": settled.seed,
                    "time": settled.answer.time,
                    "tries": settled.tries,
                }
                _line(records, {**record, "provenance": origin})
                counts["num_records"] += 1
    names = ("num_items", "num_records", "num_given", "num_rejected", "num_answers")
    return {
        **{name: counts[name] for name in names},
        "rejected": dict(reasons.most_common()),
        "tries": {str(number): tries[number] for number in sorted(tries)},
    }


def _rejection(settled: Settled) -> dict[str, Any]:
    return {
        "id": settled.item.id,
        "reason": settled.value.reason,
        "detail": settled.value.detail,
        "answer": settled.answer.text,
        "tries": settled.tries,
        "time": settled.answer.time,
    }


def _line(file: BinaryIO, value: Mapping[str, Any]) -> None:
    file.write(json.dumps(value, ensure_ascii=False, allow_nan=False).encode() + b"\n")
