"""A translation or a rewritten text held against its source, in the order of what matters most."""

from __future__ import annotations

import re

from musicllm.music.masks import Masked, masked, without_marks
from musicllm.synthesis.checks.glossary import Glossary
from musicllm.synthesis.checks.keys import changed_key, changed_mode
from musicllm.synthesis.checks.language import is_in
from musicllm.synthesis.checks.length import changed_length
from musicllm.synthesis.checks.literals import changed_literal
from musicllm.synthesis.checks.names import changed_name
from musicllm.synthesis.checks.numbers import changed_number
from musicllm.synthesis.kind import Rejected

LANGUAGE_NAMES = {"en": "English", "zh": "Chinese"}
_FENCE = re.compile(r"```\w*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_TAGS = re.compile(r"<text>[ \t]*\n?(.*?)\n?[ \t]*</text>", re.DOTALL | re.IGNORECASE)
_QUOTED = re.compile(r"\"[^\"\n]*\"|“[^”\n]*”|「[^」\n]*」")


def unwrapped(answer: str, source: str) -> str:
    """Return an answer without what teachers put round it: tags, a fence, quotation marks.

    What the source has itself stays.
    """
    for pattern in (_TAGS, _FENCE):
        if not pattern.search(source) and (match := pattern.search(answer)):
            answer = match[1]
    answer = answer.strip()
    if _QUOTED.fullmatch(answer) and not _QUOTED.fullmatch(source.strip()):
        answer = answer[1:-1].strip()
    return answer


def music_changes(source: Masked, result: str) -> Rejected | None:
    """Return why the music of a text did not survive; None if it did.

    Args:
        source: the text that the teacher saw.
        result: what became of it, with marks.
    """
    if source.restored(result) is None:
        wanted = " ".join(f"[[{number}]]" for number in range(1, len(source.parts) + 1))
        detail = f"each of {wanted} must be there once" if wanted else "there are none"
        return Rejected("loses, doubles or invents a mark of music", detail)
    if new := masked(without_marks(result)).parts:
        return Rejected("has music that the source does not have", new[0])
    words, new_words = source.words, without_marks(result)
    if change := changed_key(words, new_words):
        return Rejected("changes a key", change)
    if change := changed_literal(words, new_words):
        return Rejected("changes a chord or another symbol", change)
    if change := changed_number(words, new_words):
        return Rejected("changes a number", change)
    return None


def translation_faults(
    source: Masked, result: str, *, language: str, into: str, terms: Glossary, max_ratio: float
) -> Rejected | None:
    """Return why a text is no translation of another; None if nothing speaks against it.

    Args:
        source: the text that the teacher saw.
        result: its answer.
        language: of the source.
        into: language of the result.
        terms: whose translations must be there.
        max_ratio: see `changed_length`.
    """
    if not is_in(result, into):
        return Rejected(f"is not in {LANGUAGE_NAMES[into]}")
    num_lines, wanted = (
        sum(bool(line.strip()) for line in text.splitlines()) for text in (result, source.text)
    )
    if num_lines != wanted:
        return Rejected("has other lines than the source", f"{num_lines} instead of {wanted}")
    if fault := music_changes(source, result):
        return fault
    if missing := terms.missing_term(source.words, without_marks(result), language, into):
        return Rejected("lacks a term of the glossary", missing)
    if change := changed_length(source.words, without_marks(result), max_ratio):
        return Rejected("has another length", change)
    return None


def polish_faults(
    source: Masked, result: str, *, language: str, terms: Glossary, max_ratio: float
) -> Rejected | None:
    """Return why a text is no better wording of another; None if nothing speaks against it.

    Args:
        source: the text that the teacher saw.
        result: its answer.
        language: of both.
        terms: whose people are known names, and whose terms stay.
        max_ratio: see `changed_length`.
    """
    if not is_in(result, language):
        return Rejected(f"is not in {LANGUAGE_NAMES[language]}")
    if fault := music_changes(source, result):
        return fault
    words = without_marks(result)
    changes = (
        ("changes a key", changed_mode(source.words, words)),
        ("changes a name", changed_name(source.words, words, language, terms)),
        ("lacks a term of the glossary", terms.lost_term(source.words, words, language)),
        ("has another length", changed_length(source.words, words, max_ratio)),
    )
    return next((Rejected(reason, change) for reason, change in changes if change), None)
