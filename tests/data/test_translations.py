"""The table of translations: what it makes of requests, and what it refuses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from musicllm.data.settings import TranslationSettings
from musicllm.data.translations import (
    IN_IT,
    NO_ENTRY,
    SEVERAL,
    TRANSLATED,
    instruction_of,
    read_table,
    translated,
)
from musicllm.errors import InputError
from tests.helpers import make_tune

ENTRIES = [
    {"original": "Write by the chords.\n[[1]]", "language": "zh", "text": "请按和弦写作。\n[[1]]"},
    {"original": "Write a reel.", "language": "zh", "text": "写一首里尔舞曲。", "tries": 2},
    {"original": "Write a reel.", "language": "fr", "text": "Écris un reel."},
]


def table(folder: Path, *entries: Any) -> Path:
    path = folder / "table.jsonl"
    lines = (entry if isinstance(entry, str) else json.dumps(entry) for entry in entries)
    path.write_text("\n".join(lines) + "\n")
    return path


def settings(folder: Path, **shares: float) -> TranslationSettings:
    return TranslationSettings(table(folder, *ENTRIES), tuple(shares.items()))


def record(*requests: str, name: str = "1", system: str = "") -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    for request in requests:
        messages += [{"role": "user", "content": request}]
        messages += [{"role": "assistant", "content": make_tune(1)}]
    return {"id": name, "source": "s", "messages": messages}


def test_the_wording_is_translated_and_its_music_stays_byte_by_byte(tmp_path: Path) -> None:
    chords = "'Am', 'E/G#',  'Dm7'"
    told = settings(tmp_path, zh=1.0)
    result = translated(record(f"Write by the  chords.\n{chords}", system="Compose."), told, 0)
    assert (result.language, result.outcome) == ("zh", TRANSLATED)
    assert [m["content"] for m in result.record["messages"][:2]] == [
        "Compose.", f"请按和弦写作。\n{chords}"
    ]  # fmt: skip
    assert result.record["messages"][2] == record("x")["messages"][1]


def test_what_cannot_be_translated_stays_and_says_why(tmp_path: Path) -> None:
    told = settings(tmp_path, zh=1.0)
    for original, outcome in (
        (record("Write a waltz."), NO_ENTRY),
        (record("写一首曲子。"), IN_IT),
        (record("Write a reel.", "And a jig."), SEVERAL),
    ):
        result = translated(original, told, 0)
        assert (result.record, result.outcome) == (original, outcome)
    assert translated(record("Write a waltz."), told, 0).wording == "Write a waltz."
    family = {**record("Write a reel."), "task": "form_to_tune", "language": "en"}
    text = {"id": "1", "source": "s", "text": "Write a reel."}
    for untouched in (family, text):
        assert translated(untouched, told, 0) == (untouched, "", "", "")


def test_shares_are_of_the_requests_and_depend_on_id_and_seed_alone(tmp_path: Path) -> None:
    told = settings(tmp_path, zh=0.5, fr=0.25)
    records = [record("Write a reel.", name=f"s/{n}") for n in range(4000)]
    drawn = [translated(r, told, 0).language for r in records]
    shares = Counter(drawn)
    assert shares["zh"] / 4000 == pytest.approx(0.5, abs=0.03)
    assert shares["fr"] / 4000 == pytest.approx(0.25, abs=0.03)
    assert [translated(r, told, 0).language for r in records[::-1]] == drawn[::-1]
    assert [translated(r, told, 1).language for r in records] != drawn


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ((), "holds no translation"),
        (("{",), "line 1 is no JSON"),
        (({"original": "Write.", "text": "写。"},),
         "line 1: a translation is an object with the texts original, language, text"),
        ((["Write."],), "line 1: a translation is an object"),
        (({"original": "By [[1]].", "language": "zh", "text": "按。"},),
         "line 1: the marks of original and text differ, which stand for the music of the request: "
         "[1] and []"),
        (({"original": "By 'A', 'D'\n", "language": "zh", "text": "按 'A', 'D'"},),
         "line 1: original has music, \"'A', 'D'\"; write [[1]] in its place"),
        ((*ENTRIES, {"original": "Write  a reel.", "language": "zh", "text": "写。"}),
         "line 4: a second translation into zh of 'Write a reel.'; leave one of both"),
    ],
)  # fmt: skip
def test_a_table_that_is_wrong_is_refused_with_its_line(
    tmp_path: Path, entries: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_table(table(tmp_path, *entries))
    assert message in str(caught.value)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the table of translations .*absent.* cannot be read"):
        read_table(tmp_path / "absent")


def test_the_instruction_is_what_the_user_says_first() -> None:
    assert instruction_of(record(" Write a reel.\n", "And now?", system="S")) == "Write a reel."
    assert instruction_of({"id": "1", "source": "s", "text": "X:1"}) is None
