"""A table of translated requests, and what it makes of conversations.

The table is JSON Lines: `original` (a request with marks in the place of its music, as
`music.masks` writes it), `language` (of the translation, such as `zh`) and `text` (the translation,
with the same marks); other fields are ignored. It is what `records.jsonl` of the stage `synthesize`
holds, kind translation. Requests that differ in their music or in white space alone are one entry,
so a table is small.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from musicllm.data.languages import language_of
from musicllm.data.records import Record
from musicllm.data.settings import TranslationSettings
from musicllm.errors import InputError
from musicllm.music.masks import marks_in, masked

FIELDS = ("original", "language", "text")

TRANSLATED, IN_IT, NO_ENTRY, SEVERAL = (
    "translated", "in it already", "not in the table", "of several questions",
)  # fmt: skip
"""What became of a conversation that was drawn for a language."""


class Translation(NamedTuple):
    """What became of a conversation.

    Attributes:
        record: translated, or as it was.
        language: that it was drawn for; empty if it was to stay as it is.
        outcome: one of the four above; empty if it was to stay as it is.
        wording: the request with marks, where the table has none.
    """

    record: Record
    language: str = ""
    outcome: str = ""
    wording: str = ""


def translated(record: Record, settings: TranslationSettings, seed: int) -> Translation:
    """Translate the request of a conversation if it is drawn; a function of the arguments.

    Its music stays as it is, byte by byte. Texts, conversations of instruction families, which are
    written in their language, and those of several questions, whose later ones would stay in the
    other language, are not translated.

    Raises:
        InputError: the table cannot be used; see `read_table`.
    """
    if "messages" not in record or "task" in record:
        return Translation(record)
    language = _drawn(record["id"], settings.shares, seed)
    if language is None:
        return Translation(record)
    if language_of(record) == language:
        return Translation(record, language, IN_IT)
    places = [i for i, m in enumerate(record["messages"]) if m["role"] == "user"]
    if len(places) > 1:
        return Translation(record, language, SEVERAL)
    message = record["messages"][places[0]]
    request = masked(message["content"])
    wording = _plain(request.text)
    text = read_table(settings.table).get((wording, language))
    content = None if text is None else request.restored(text)
    if content is None:
        return Translation(record, language, NO_ENTRY, wording)
    messages = [*record["messages"]]
    messages[places[0]] = {**message, "content": content}
    return Translation({**record, "messages": messages}, language, TRANSLATED)


def instruction_of(record: Record) -> str | None:
    """Return what the user of a conversation asks first, with its music; None for a text."""
    contents = (m["content"] for m in record.get("messages", ()) if m["role"] == "user")
    first: str | None = next(contents, None)
    return None if first is None else first.strip()


def _plain(text: str) -> str:
    return " ".join(text.split())


def _drawn(name: str, shares: tuple[tuple[str, float], ...], seed: int) -> str | None:
    """Return the language that a record is drawn for by its id, or None."""
    place = random.Random(f"{seed}:translation:{name}").random()
    for language, share in shares:
        place -= share
        if place < 0:
            return language
    return None


@lru_cache(maxsize=4)
def read_table(path: Path) -> Mapping[tuple[str, str], str]:
    """Read a table, once in a process: wording and language -> translation.

    Raises:
        InputError: the file cannot be read or is empty, a line lacks a field, marks of original and
            translation differ, or one wording has two translations; with the line.
    """
    table: dict[tuple[str, str], str] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the table of translations {path} cannot be read: {error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        original, language, text = _entry(f"{path}, line {number}", line)
        wording = _plain(original)
        if table.setdefault((wording, language), text) != text:
            raise InputError(
                f"{path}, line {number}: a second translation into {language} of {wording[:80]!r}; "
                "leave one of both"
            )
    if not table:
        raise InputError(f"{path} holds no translation")
    return table


def _entry(place: str, line: str) -> tuple[str, str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(f"{place} is no JSON: {error}") from None
    values = [row.get(name) if isinstance(row, dict) else None for name in FIELDS]
    texts = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    if len(texts) < len(FIELDS):
        raise InputError(f"{place}: a translation is an object with the texts {', '.join(FIELDS)}")
    wording, language, text = texts
    marks = marks_in(wording)
    if not marks and (music := masked(wording).parts):
        raise InputError(
            f"{place}: original has music, {music[0][:80]!r}; write [[1]] in its place"
        )
    if marks != marks_in(text):
        raise InputError(
            f"{place}: the marks of original and text differ, which stand for the music of the "
            f"request: {marks} and {marks_in(text)}"
        )
    return wording, language, text
