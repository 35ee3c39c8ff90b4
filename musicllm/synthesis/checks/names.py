"""Names in a text, which a rewritten one has to have, and to which it may add none.

English: words in capitals that do not begin a sentence; of those that begin one, the people of the
glossary. Chinese has no capitals: titles in 《》, foreign names with a dot (such as 弗朗茨·李斯特),
words in Latin letters, and the people of the glossary are seen; other Chinese names are not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from musicllm.synthesis.checks.glossary import Glossary
from musicllm.synthesis.checks.keys import keys_in

_WORD = re.compile(r"[A-ZÀ-Þ][A-Za-zÀ-ÿ'’-]*[A-Za-zÀ-ÿ]|[A-ZÀ-Þ]\.")
_BEFORE = re.compile(r"(?:^|[.!?:;…\n]|[\"“”‘'(\[*_#-])[\s\"“”‘'(\[*_#-]*$|(?:^|\n)\s*\d+[.)]\s*$")
_TITLE = re.compile(r"《([^》\n]{1,60})》")
_DOTTED = re.compile(r"[一-鿿]{1,2}[·•・‧][一-鿿]{1,2}")
"""The middle of a foreign name; where it begins and ends no character says."""
_LATIN = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'’-]+")
_ORDINARY = """
I I'm I've I'd I'll The A An In On At By For From To Of And But Or So It Its He She They We You This
That These Those There Here His Her Their Our Your When While After Before As If Then Thus Also
However Although Though Because Since With Without Under Over During Between Among Through Major
Minor One Two Three Many Most Some Several All Both Each Every No Not Now Later
"""
_COMMON = frozenset(_ORDINARY.split())


def names_in(text: str, language: str, terms: Glossary) -> frozenset[str]:
    """Return the names of a text, word by word. Cost: linear.

    Args:
        text: any.
        language: `en` or `zh`.
        terms: whose people are known.
    """
    known = terms.names_in(text, language)
    if language == "zh":
        places = (*_TITLE.finditer(text), *_DOTTED.finditer(text), *_LATIN.finditer(text))
        return frozenset({match[0].strip("《》") for match in places} | known)
    return frozenset(set(_english(text)) | known)


def changed_name(source: str, result: str, language: str, terms: Glossary) -> str | None:
    """Return which name is only in one of two texts of a language, in words; None if none is."""
    before, after = (names_in(text, language, terms) for text in (source, result))
    if lost := sorted(name for name in before if not _stands_in(name, result)):
        return f"{lost[0]} is missing"
    if new := sorted(name for name in after if not _stands_in(name, source)):
        return f"{new[0]} is not in the source"
    return None


def _english(text: str) -> Iterator[str]:
    """Yield words in capitals that are no beginnings of sentences."""
    for match in _WORD.finditer(text):
        word = match[0].removesuffix("'s").removesuffix("’s")
        if word in _COMMON or (len(word) == 2 and keys_in(text[match.start() :][:20])):
            continue
        if not _BEFORE.search(text[max(match.start() - 8, 0) : match.start()]):
            yield word


def _stands_in(name: str, text: str) -> bool:
    """Return whether a text has a word, in any case, since a sentence may begin with it."""
    if not name.isascii() and not _LATIN.fullmatch(name):
        return name in text
    pattern = rf"(?<![A-Za-zÀ-ÿ]){re.escape(name)}(?![A-Za-zÀ-ÿ])"
    return bool(re.search(pattern, text, re.IGNORECASE))
