"""Assistants that self-cognition conversations are about: descriptions, topics, and examples.

An assistant is a TOML file (`melodist.toml` explains it), and so are topics, hand-written
conversations and what an answer must not claim. Every mistake in a file of the user is an error
with its place.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musicllm.errors import InputError

FOLDER = Path(__file__).parent
LANGUAGES = ("en", "zh")
_TEXTS, _LISTS = ("maker", "is"), ("abilities", "refusals")


@dataclass(frozen=True)
class Assistant:
    """What an assistant is, in one language.

    Attributes:
        name: what it is called.
        maker: who made it.
        what: one sentence about what it is.
        abilities: what it can do.
        refusals: what it cannot do or declines, as it says so.
    """

    name: str
    maker: str
    what: str
    abilities: tuple[str, ...]
    refusals: tuple[str, ...]

    def fill(self, text: str) -> str:
        """Return a text with the name and the maker in the place of `{name}` and `{maker}`."""
        return text.replace("{name}", self.name).replace("{maker}", self.maker)


@dataclass(frozen=True)
class Topic:
    """What a conversation is about.

    Attributes:
        name: of the topic.
        of: `abilities` or `refusals`, one of which it is about; empty for neither.
        names_others: a question may name another assistant.
        texts: language -> the topic in words, perhaps with `{subject}`.
    """

    name: str
    of: str
    names_others: bool
    texts: Mapping[str, str]


@dataclass(frozen=True)
class Conversation:
    """A conversation that was written by hand.

    Attributes:
        language: of `LANGUAGES`.
        topic: name of its topic.
        turns: questions and answers, with `{name}` and `{maker}`.
    """

    language: str
    topic: str
    turns: tuple[tuple[str, str], ...]


def read_assistant(path: Path, language: str) -> Assistant:
    """Return an assistant in a language.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or of another type.
    """
    tables = read_toml(path)
    name, table = tables.get("name"), tables.get(language)
    if not isinstance(name, str) or not name.strip():
        raise InputError(f'{path}: name must be a text; write name = "..." at the top')
    if not isinstance(table, dict):
        raise InputError(f"{path} has no table [{language}]; write one, or leave the language out")
    if wrong := sorted(table.keys() ^ {*_TEXTS, *_LISTS}):
        state = "unknown" if wrong[0] in table else "missing"
        raise InputError(
            f"{path}: {language}.{wrong[0]} is {state}; see {FOLDER / 'melodist.toml'}"
        )
    for key in _TEXTS:
        if not isinstance(table[key], str) or not table[key].strip():
            raise InputError(f"{path}: {language}.{key} must be a text in quotes")
    for key in _LISTS:
        is_list = isinstance(table[key], list) and bool(table[key])
        if not is_list or not all(isinstance(text, str) and text.strip() for text in table[key]):
            raise InputError(f"{path}: {language}.{key} must be a list of texts in quotes")
    return Assistant(
        name.strip(),
        table["maker"],
        table["is"],
        tuple(table["abilities"]),
        tuple(table["refusals"]),
    )


def read_conversations(path: Path) -> tuple[Conversation, ...]:
    """Return the conversations of a file.

    Raises:
        InputError: the file cannot be read, or a conversation is not as described above.
    """
    rows = read_toml(path).get("conversations")
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{path} has no [[conversations]]")
    return tuple(_conversation(row, f"{path}: conversation {i}") for i, row in enumerate(rows, 1))


def topics() -> tuple[tuple[Topic, ...], Mapping[str, tuple[str, ...]]]:
    """Return the topics, and language -> styles in which a person asks."""
    tables = read_toml(FOLDER / "topics.toml")
    all_topics = tuple(
        Topic(
            row["name"],
            row.get("of", ""),
            row.get("names_others", False),
            {language: row[language] for language in LANGUAGES},
        )
        for row in tables["topics"]
    )
    return all_topics, {language: tuple(tables["styles"][language]) for language in LANGUAGES}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _conversation(row: Any, where: str) -> Conversation:
    if not isinstance(row, dict) or row.keys() != {"language", "topic", "turns"}:
        raise InputError(f"{where} must have language, topic and turns")
    if row["language"] not in LANGUAGES:
        raise InputError(f"{where}: language={row['language']!r} must be en or zh")
    if not isinstance(row["topic"], str):
        raise InputError(f"{where}: topic must be a text in quotes")
    turns = row["turns"]
    is_list = isinstance(turns, list) and bool(turns)
    if not is_list or not all(isinstance(turn, list) and len(turn) == 2 for turn in turns):
        raise InputError(f"{where}: turns must be a list of [question, answer]")
    if not all(isinstance(text, str) and text.strip() for turn in turns for text in turn):
        raise InputError(f"{where}: a question or answer is no text")
    return Conversation(row["language"], row["topic"], tuple((a, b) for a, b in turns))
