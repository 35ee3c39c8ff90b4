"""Terms of music in two languages: which a text has, and whether its translation has them, too.

A glossary is a TOML file with two lists, `terms` and `names`, whose entries have expressions of
each language (`glossaries/en-zh.toml` explains them). English terms are matched as words, without
regard to case and also in the plural, Chinese ones as they are; where expressions overlap, the
longest counts.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from musicllm.errors import InputError

LANGUAGES = ("en", "zh")
BUILT_IN = Path(__file__).parent.parent / "glossaries" / "en-zh.toml"


@dataclass(frozen=True)
class Entry:
    """Expressions that mean the same.

    Attributes:
        expressions: language -> expressions, the preferred one first.
        is_name: of a person: matched with regard to case.
        is_checked: a translation must have it.
    """

    expressions: Mapping[str, tuple[str, ...]]
    is_name: bool
    is_checked: bool


@dataclass(frozen=True)
class Term:
    """An expression in a text, and what may stand for it in the other language.

    Attributes:
        text: as it stands in the text.
        translations: accepted ones, the preferred one first.
        is_checked: a translation must have one of them.
    """

    text: str
    translations: tuple[str, ...]
    is_checked: bool


class Glossary:
    """The entries of one or several files.

    Args:
        entries: of all of them; of two for one expression the first is preferred.
    """

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self.entries = entries
        self._by_expression: dict[str, dict[tuple[str, bool], list[Entry]]] = {}
        self._patterns: dict[str, re.Pattern[str]] = {}
        for language in LANGUAGES:
            index: dict[tuple[str, bool], list[Entry]] = {}
            for entry in entries:
                for expression in entry.expressions[language]:
                    index.setdefault(_key(expression, entry.is_name), []).append(entry)
            self._by_expression[language] = index
            self._patterns[language] = _pattern(index, language)

    def terms_in(self, text: str, language: str, into: str) -> tuple[Term, ...]:
        """Return the terms of a text in the order of their first place. Cost: linear.

        Args:
            text: in `language`; without music, whose letters are not words.
            language: of `LANGUAGES`.
            into: the language of the translations.
        """
        terms: dict[str, Term] = {}
        for match in self._patterns[language].finditer(text):
            entries = self._entries(match[0], language)
            if entries and match[0].casefold() not in terms:
                translations = dict.fromkeys(
                    other for entry in entries for other in entry.expressions[into]
                )
                is_checked = all(entry.is_checked for entry in entries)
                term = Term(match[0], tuple(translations), is_checked)
                terms[match[0].casefold()] = term
        return tuple(terms.values())

    def lost_term(self, source: str, result: str, language: str) -> str | None:
        """Return which term of a text another one of the same language lacks; None if it has all.

        Another expression of the same entry counts as the term.
        """
        for match in self._patterns[language].finditer(source):
            entries = self._entries(match[0], language)
            others = {other for entry in entries for other in entry.expressions[language]}
            is_checked = bool(entries) and all(entry.is_checked for entry in entries)
            if is_checked and not any(_has(result, other, language) for other in others):
                return f"{match[0]} is missing"
        return None

    def names_in(self, text: str, language: str) -> frozenset[str]:
        """Return the people of the glossary that a text names. Cost: linear."""
        matches = (match[0] for match in self._patterns[language].finditer(text))
        return frozenset(
            name
            for match in matches
            for name in (match, match.removesuffix("'s"))
            if _key(name, True) in self._by_expression[language]
        )

    def missing_term(self, source: str, result: str, language: str, into: str) -> str | None:
        """Return which term of a text its translation lacks, in words; None if it has all."""
        for term in self.terms_in(source, language, into):
            if term.is_checked and not any(
                _has(result, other, into) for other in term.translations
            ):
                accepted = " or ".join(term.translations[:3])
                return f"{term.text} must become {accepted}"
        return None

    def _entries(self, text: str, language: str) -> list[Entry]:
        index = self._by_expression[language]
        forms = [text, *_singulars(text)] if language == "en" else [text]
        for form in forms:
            named, common = index.get(_key(form, True)), index.get(_key(form, False))
            if named or common:
                found = [*(named or ()), *(common or ())]
                return sorted(found, key=lambda entry: _rank(form, entry.expressions[language]))
        return []


def glossary_file(setting: str | None) -> Path:
    """Return the file that `synthesis.glossary` names; None stands for the built-in one."""
    return BUILT_IN if setting is None else Path(setting).expanduser()


@lru_cache(maxsize=8)
def glossary(path: Path = BUILT_IN) -> Glossary:
    """Return the entries of a file and, after them, the built-in ones.

    Raises:
        InputError: the file cannot be read, or an entry is not as described above.
    """
    paths = dict.fromkeys((path, BUILT_IN))
    return Glossary(tuple(entry for one in paths for entry in _read(one)))


def _read(path: Path) -> Iterator[Entry]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"glossary {path} cannot be read: {error}") from None
    if unknown := sorted(tables.keys() - {"terms", "names"}):
        raise InputError(f"glossary {path}: {unknown[0]} is unknown; lists are terms and names")
    for kind, rows in tables.items():
        if not isinstance(rows, list):
            raise InputError(f"glossary {path}: {kind} must be a list of entries")
        for number, row in enumerate(rows, start=1):
            yield _entry(row, kind == "names", f"glossary {path}: {kind}, entry {number}")


def _entry(row: Any, is_name: bool, where: str) -> Entry:
    if not isinstance(row, dict) or (row.keys() - {"check"}) != set(LANGUAGES):
        raise InputError(f"{where} must have en and zh, and may have check")
    expressions = {}
    for language in LANGUAGES:
        texts = row[language]
        is_list = isinstance(texts, list) and texts
        if not is_list or not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(f"{where}: {language} must be a list of texts in quotes")
        expressions[language] = tuple(texts)
    is_checked = row.get("check", True)
    if not isinstance(is_checked, bool):
        raise InputError(f"{where}: check must be true or false")
    return Entry(expressions, is_name, is_checked)


def _key(expression: str, is_name: bool) -> tuple[str, bool]:
    return (expression if is_name else expression.casefold(), is_name)


def _rank(text: str, expressions: tuple[str, ...]) -> int:
    """Return how far behind the preferred expression of an entry a text stands."""
    return [_key(expression, False) for expression in expressions].index(_key(text, False))


def _pattern(index: Mapping[tuple[str, bool], list[Entry]], language: str) -> re.Pattern[str]:
    longest = sorted(index, key=lambda key: (-len(key[0]), key))
    if language == "zh":
        long_enough = (re.escape(text) for text, _ in longest if len(text) > 1)
        return re.compile("|".join(long_enough), re.IGNORECASE)
    words = (
        f"{'' if is_name else '(?i:'}{_spaced(text)}{'' if is_name else ')'}"
        for text, is_name in longest
    )
    return re.compile(rf"(?<![A-Za-z])(?:{'|'.join(words)})(?:'s|s|es)?(?![A-Za-z])")


def _spaced(text: str) -> str:
    """Return a pattern of an expression: blanks or hyphens between words, and `-ies` for `-y`."""
    pattern = r"[\s-]+".join(re.escape(word) for word in re.split(r"[\s-]+", text))
    return f"{pattern[:-1]}(?:y|ies)" if pattern.endswith("y") else pattern


def _singulars(text: str) -> list[str]:
    joined = " ".join(text.split())
    forms = [joined, joined.replace("-", " "), joined.replace(" ", "-")]
    endings = ("'s", "es", "s")
    forms += [f"{form[:-3]}y" for form in forms if form.endswith("ies")]
    return forms + [form[: -len(end)] for form in forms for end in endings if form.endswith(end)]


def _has(text: str, expression: str, language: str) -> bool:
    if language == "zh":
        return expression.replace(" ", "") in text.replace(" ", "")
    pattern = rf"(?<![A-Za-z]){_spaced(expression)}(?:'s|s|es)?(?![A-Za-z])"
    return bool(re.search(pattern, text, re.IGNORECASE))
