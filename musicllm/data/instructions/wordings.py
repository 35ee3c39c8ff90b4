"""Wordings of requests and answers, from files `<language>.toml`: built in, and of the user.

A file has a table per family with lists of wordings: `requests`, `follow_ups` (the same question
about a tune of an earlier turn) and `answers` (for answers in words), and a table `[words]`.
Wordings of the user are added to the built-in ones, also in new languages. Every
mistake in a file is an error with its location.
"""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any, Literal

from musicllm.data.instructions.families import DIALOGUE, FAMILIES, TASKS
from musicllm.data.instructions.words import LanguageWords
from musicllm.errors import InputError
from musicllm.music.abc.keys import MODES

Kind = Literal["requests", "follow_ups", "answers"]
KINDS: tuple[Kind, ...] = ("requests", "follow_ups", "answers")

_TEXT_WORDS = {
    "key": frozenset({"tonic", "mode"}),
    "sharp": frozenset({"letter"}),
    "flat": frozenset({"letter"}),
}
"""Words that are texts, and their required placeholders."""


@dataclass(frozen=True)
class Wording:
    """A sentence with placeholders.

    Attributes:
        parts: text and the placeholder after it; empty for the last text.
    """

    parts: tuple[tuple[str, str], ...]

    @property
    def places(self) -> frozenset[str]:
        """The placeholders."""
        return frozenset(name for _, name in self.parts if name)

    def fill(self, values: Mapping[str, str], before_vowel: Mapping[str, str]) -> str:
        """Replace the placeholders by values."""
        parts = []
        for text, name in self.parts:
            value = values[name] if name else ""
            is_vowel = value[:1].lower() in tuple("aeiou")
            parts += [_elided(text, before_vowel) if is_vowel else text, value]
        return "".join(parts)


@dataclass(frozen=True)
class Wordings:
    """All wordings of one language.

    Attributes:
        language: such as `en`.
        by_family: family -> kind -> wordings.
        words: names of values in the language.
    """

    language: str
    by_family: Mapping[str, Mapping[Kind, tuple[Wording, ...]]]
    words: LanguageWords

    def of(self, task: str, kind: Kind) -> tuple[Wording, ...]:
        """Return the wordings of a family; empty if there are none."""
        return self.by_family.get(task, {}).get(kind, ())

    def choose(
        self, task: str, kind: Kind, names: Collection[str], draw: random.Random
    ) -> Wording | None:
        """Return a random wording whose placeholders are all in `names`."""
        possible = [wording for wording in self.of(task, kind) if wording.places <= set(names)]
        return draw.choice(possible) if possible else None

    def fill(self, wording: Wording, values: Mapping[str, str]) -> str:
        """Return a wording filled with values in this language."""
        words = {name: self.words.translate(name, values[name]) for name in wording.places}
        return wording.fill(words, self.words.before_vowel)


def languages(folder: Path | None) -> list[str]:
    """Return the languages that have wordings.

    Raises:
        InputError: the folder does not exist.
    """
    names = {entry.name for entry in files(__package__).joinpath("phrasings").iterdir()}
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"data.instructions.phrasings={folder} is not a folder")
        names |= {path.name for path in folder.glob("*.toml")}
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@lru_cache(maxsize=64)
def wordings(language: str, folder: Path | None = None) -> Wordings:
    """Return the wordings of a language, built in and from the user's folder.

    Raises:
        InputError: there are none, or a file has a mistake.
    """
    ours = files(__package__).joinpath("phrasings", f"{language}.toml")
    result = Wordings(language, {}, LanguageWords())
    if ours.is_file():
        result = _added(result, ours.read_text(encoding="utf-8"), f"{language}.toml")
    if folder is not None and (path := folder / f"{language}.toml").is_file():
        result = _added(result, path.read_text(encoding="utf-8"), str(path))
    if not result.by_family:
        rule = f"there are {', '.join(languages(folder))}"
        raise InputError(f"data.instructions.languages: no wordings in {language}; {rule}")
    return result


def _elided(text: str, before_vowel: Mapping[str, str]) -> str:
    """Return text in its form before a vowel."""
    for old, new in before_vowel.items():
        text = re.sub(rf"(?<!\w){re.escape(old)}$", new, text)
    return text


def _added(current: Wordings, text: str, place: str) -> Wordings:
    """Add the wordings of a file."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{place} is no valid TOML: {error}") from None
    words = _words(current.words, tables.pop("words", {}), place)
    by_family = {task: dict(kinds) for task, kinds in current.by_family.items()}
    for task, table in tables.items():
        if task not in TASKS:
            raise InputError(f"{place}: {task} is no instruction family; {_nearest(task, TASKS)}")
        for kind, texts in _table(table, f"{place}: {task}").items():
            if kind not in _kinds(task):
                rule = f"it may have {', '.join(_kinds(task))}"
                raise InputError(f"{place}: {task}.{kind} is unknown; {rule}")
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise InputError(f"{place}: {task}.{kind} must be a list of texts in quotes")
            new = [_read(text, task, kind, place) for text in texts]
            old = by_family.setdefault(task, {}).get(kind, ())
            by_family[task][kind] = tuple(dict.fromkeys([*old, *new]))
    return Wordings(current.language, by_family, words)


def _read(text: str, task: str, kind: Kind, place: str) -> Wording:
    """Parse a wording and check its placeholders."""
    where = f'{place}: {task}.{kind}, "{text}"'
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        raise InputError(f"{where}: {error}; write {{{{ and }}}} for braces") from None
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise InputError(f"{where}: a word in braces stands alone, without : or !")
    wording = Wording(tuple((before, name or "") for before, name, _, _ in parts))
    needs, any_of, may = _places(task, kind)
    allowed = needs | any_of | may
    rule = f"it may use {_braced(allowed)}" if allowed else "it has none"
    if unknown := wording.places - allowed:
        raise InputError(f"{where}: {_braced(unknown)} is unknown here; {rule}")
    if missing := needs - wording.places:
        raise InputError(f"{where}: {_braced(missing)} is missing")
    if any_of and not any_of & wording.places:
        raise InputError(f"{where}: one of {_braced(any_of)} is missing")
    return wording


def _places(task: str, kind: Kind) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return the placeholders that a wording must have, must have one of, and may have."""
    none: frozenset[str] = frozenset()
    if kind == "follow_ups":
        return none, none, none
    if task == DIALOGUE:
        return frozenset({"tune", "question"}), none, none
    family = FAMILIES[task]
    if kind == "requests" and family.shows is not None:
        return frozenset({"tune"}), none, none
    return family.needs, family.any_of, family.may


def _kinds(task: str) -> tuple[Kind, ...]:
    """Return the kinds of wordings of a family."""
    if task == DIALOGUE:
        return ("requests",)
    return KINDS if FAMILIES[task].answer == "words" else ("requests", "follow_ups")


def _words(current: LanguageWords, table: Any, place: str) -> LanguageWords:
    """Check the words of a file, and let them replace the current ones."""
    names = [field.name for field in fields(LanguageWords)]
    table = _table(table, f"{place}: words")
    for name, value in table.items():
        if name not in names:
            raise InputError(f"{place}: words.{name} is unknown; {_nearest(name, names)}")
        if name in _TEXT_WORDS and _braces(value) != _TEXT_WORDS[name]:
            rule = f"must be a text in quotes with {_braced(_TEXT_WORDS[name])}"
            raise InputError(f"{place}: words.{name} {rule}")
        if name not in _TEXT_WORDS:
            new = _table(value, f"{place}: words.{name}")
            table[name] = {**getattr(current, name), **new}
    words = replace(current, **table)
    missing = [name for name in _TEXT_WORDS if not getattr(words, name)]
    missing += [f"modes.{mode}" for mode in MODES if mode not in words.modes]
    if missing:
        raise InputError(f"{place}: a new language must have words.{', words.'.join(missing)}")
    return words


def _braces(value: Any) -> frozenset[str] | None:
    """Return the placeholders of a text; None if it is not a valid text."""
    try:
        return frozenset(name for _, name, _, _ in Formatter().parse(value) if name is not None)
    except (TypeError, ValueError):
        return None


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} must be a table")
    return dict(value)


def _nearest(name: str, valid: Sequence[str]) -> str:
    close = get_close_matches(name, valid, n=1, cutoff=0.0)
    return f"did you mean {close[0]}?"


def _braced(names: frozenset[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names))
