"""Corpora in two languages: translated requests, prompts, counts, the mix, and other formats."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.engines import LocalEngine
from musicllm.data.pipeline import prepare
from musicllm.data.records import Record
from musicllm.data.rows import RowStore
from musicllm.data.settings import NewTokenizer, Preparation, TranslationSettings
from musicllm.data.sources import find_parts, read_part
from musicllm.errors import StageError
from tests.helpers import (
    make_tune,
    mix_config,
    preparation_of,
    row_settings,
    source_spec,
    write_sources,
)

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ m.role }}: "
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}</s>{% endgeneration %}"
    "{% else %}{{ m.content }}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
WORDINGS = {"Write a reel.": "写一首里尔舞曲。", "Compose by\n[[1]]": "请按和弦作曲：\n[[1]]"}
PROMPTS = (("zh", "你是作曲家。"), ("en", "You compose."))


def requests(num: int) -> list[Record]:
    """Return conversations, of which every third has chords and every tenth is of no wording."""
    records = []
    for n in range(num):
        ask = "Compose by\n'C', 'G'" if n % 3 == 0 else "Write a reel."
        ask = "Write a song about the sea." if n % 10 == 9 else ask
        messages = [
            {"role": "user", "content": ask},
            {"role": "assistant", "content": make_tune(n).strip()},
        ]
        records.append({"id": str(n), "source": "chats", "messages": messages})
    return records


def preparation(folder: Path, records: list[Record], **changes: Any) -> Preparation:
    start = preparation_of(
        sources=write_sources(folder / "sources", records), rows=row_settings("pack", 512), seed=3
    )
    return replace(start, **changes)


def translation(folder: Path, **shares: float) -> TranslationSettings:
    path = folder / "table.jsonl"
    entries = ({"original": o, "language": "zh", "text": t} for o, t in WORDINGS.items())
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return TranslationSettings(path, tuple(shares.items()))


def prepared(
    folder: Path, told: Preparation, to: str = "corpus", num_workers: int = 1
) -> dict[str, Any]:
    (folder / to).mkdir()
    work = folder / f"work-{to}"
    engine = LocalEngine(num_workers)
    return prepare(told, NewTokenizer(300, TEMPLATE), engine, work, folder / to)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def kept(folder: Path, to: str = "corpus") -> list[Record]:
    files = sorted((folder / to / "records" / "train").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def test_three_quarters_are_translated_and_each_has_the_prompt_of_its_language(
    tmp_path: Path,
) -> None:
    told = preparation(
        tmp_path, requests(200), translation=translation(tmp_path, zh=0.75), system_prompts=PROMPTS
    )
    facts = prepared(tmp_path, told)

    counts = facts["translations"]["counts"]["zh"]
    assert sum(counts.values()) == pytest.approx(150, abs=15)
    assert counts["not in the table"] == pytest.approx(15, abs=8)
    assert facts["translations"]["not_in_table"] == {
        "Write a song about the sea.": counts["not in the table"]
    }
    assert facts["translations"]["num_not_in_table"] == 1
    languages = facts["splits"]["train"]["languages"]
    assert languages["zh"]["documents"] == counts["translated"]
    assert languages["zh"]["documents"] + languages["en"]["documents"] == 200
    tokens = sum(language["tokens"] for language in languages.values())
    assert tokens == facts["splits"]["train"]["tokens"]
    assert facts["system_prompts"] == {
        name: languages[name]["documents"] for name in ("zh", "en")
    }  # fmt: skip
    in_chinese = {"写一首里尔舞曲。", "请按和弦作曲：\n'C', 'G'"}
    for record in kept(tmp_path):
        system, user, assistant = record["messages"]
        assert system["role"] == "system"
        assert system["content"] == dict(PROMPTS)["zh" if user["content"] in in_chinese else "en"]
        assert assistant["content"] == make_tune(int(record["id"].rpartition(":")[2]) - 1).strip()


def test_a_prompt_of_its_own_stays_and_a_language_without_one_gets_none(tmp_path: Path) -> None:
    first, second = requests(2)
    first["messages"].insert(0, {"role": "system", "content": "Mine."})
    facts = prepared(
        tmp_path, preparation(tmp_path, [first, second], system_prompts=(("zh", "你是作曲家。"),))
    )
    assert [len(r["messages"]) for r in kept(tmp_path)] == [3, 2]
    assert kept(tmp_path)[0]["messages"][0]["content"] == "Mine."
    assert facts["system_prompts"] == {"none": 1}


def test_a_table_of_other_requests_stops_the_preparation(tmp_path: Path) -> None:
    records = [r for r in requests(40) if "sea" in r["messages"][0]["content"]]
    told = preparation(tmp_path, records, translation=translation(tmp_path, zh=1.0))
    with pytest.raises(StageError) as caught:
        prepared(tmp_path, told)
    assert str(caught.value) == (
        "data.translation.shares.zh: none of 4 requests is in the table; the first: "
        "'Write a song about the sea.'; make the table from the same data"
    )


def test_languages_are_mixed_by_share(tmp_path: Path) -> None:
    told = preparation(
        tmp_path,
        [
            *requests(60),
            *({"id": f"t{n}", "source": "tunes", "text": make_tune(n)} for n in range(9)),
        ],
        translation=translation(tmp_path, zh=0.5),
        mix=mix_config(by="language", weights={"zh": 2.0, "en": 1.0}),
    )
    facts = prepared(tmp_path, told)
    mix = {part["part"]: part for part in facts["mix"]}
    zh, en = mix["zh"], mix["en"]
    assert zh["documents"] == zh["available_documents"] > 10
    assert en["documents"] == round(zh["documents"] / 2)
    assert mix["music"]["documents"] == 0 < mix["music"]["available_documents"]
    assert facts["splits"]["train"]["languages"] == {
        "en": {"documents": en["documents"], "tokens": en["tokens"]},
        "zh": {"documents": zh["documents"], "tokens": zh["tokens"]},
    }


def test_other_formats_have_the_documents_of_the_rows_as_often(tmp_path: Path) -> None:
    records = [*requests(7), *({"id": f"t{n}", "source": "tunes", "text": make_tune(50 + n)}
                               for n in range(4))]  # fmt: skip
    told = preparation(
        tmp_path, records, also_write=("xtuner",), system_prompts=PROMPTS,
        mix=mix_config(epochs={"tunes": 2.5}, max_documents={"chats": 5}),
    )  # fmt: skip
    facts = prepared(tmp_path, told)
    path = tmp_path / "corpus" / "also" / "xtuner" / "train.json"
    written = json.loads(path.read_text())
    assert facts["also_written"] == {
        "xtuner": {
            "train": {
                "file": "also/xtuner/train.json",
                "records": 15,
                "bytes": path.stat().st_size,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        }
    }
    outputs = [item["conversation"][0]["output"] for item in written]
    times = {make_tune(50 + n): outputs.count(make_tune(50 + n)) for n in range(4)}
    assert sorted(times.values()) == [2, 2, 3, 3]
    assert len(set(outputs[:9])) == 9, "the first pass comes before the second"
    assert sum(item["conversation"][0]["system"] == "You compose." for item in written) == 5


def test_the_other_format_becomes_the_same_rows(tmp_path: Path) -> None:
    told = preparation(
        tmp_path, requests(30), also_write=("xtuner",), system_prompts=PROMPTS,
        translation=translation(tmp_path, zh=0.5),
    )  # fmt: skip
    prepared(tmp_path, told)
    path = tmp_path / "corpus" / "also" / "xtuner" / "train.json"
    source = source_spec("again", "files", str(path), named_splits=False)
    assert {part.format for part in find_parts(source)} == {"xtuner"}
    again = replace(told, sources=(source,), also_write=(), system_prompts=(), translation=None)
    prepared(tmp_path, again, to="again")
    rows = [RowStore(tmp_path / name / "rows" / "train") for name in ("corpus", "again")]
    assert len(rows[0]) == len(rows[1])
    assert all(
        (rows[0].row(n).input_ids == rows[1].row(n).input_ids).all() for n in range(len(rows[0]))
    )
    records = [r for part in find_parts(source) for r in read_part(part) if isinstance(r, dict)]
    assert [r["messages"] for r in records] == [r["messages"] for r in kept(tmp_path)]


def test_the_bytes_do_not_depend_on_processes(tmp_path: Path) -> None:
    told = preparation(
        tmp_path, requests(30), also_write=("xtuner",), system_prompts=PROMPTS,
        translation=translation(tmp_path, zh=0.5), validation_fraction=0.2,
    )  # fmt: skip
    one = prepared(tmp_path, told, to="one")
    two = prepared(tmp_path, told, to="two", num_workers=2)
    assert one == two
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    assert list(one["also_written"]["xtuner"]) == ["train", "validation"]
