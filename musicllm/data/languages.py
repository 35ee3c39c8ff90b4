"""The language of a record, told from its letters: Chinese, English, another one, or music alone.

Tunes, bars, lists of chords and names of notes are no words (`music.masks`). Nothing is learned
from data and no model is asked: Chinese is a text with at least half as many Han characters as
words in other letters. A text in Latin letters is English unless words that are frequent in other
languages outnumber those that are in English; a name or a title alone counts as English.
"""

from __future__ import annotations

import re

from musicllm.data.records import Record
from musicllm.music.masks import masked

LANGUAGES = ("en", "zh", "other", "music")
"""Languages of records; `music` has no words."""

SAMPLE_CHARS = 2000
"""How much of a text decides; of a longer one, its beginning."""

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA = re.compile(r"[\u3040-\u30ff]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:['\u2019][A-Za-z\u00c0-\u024f]+)?")
_ELSE = re.compile(r"[\u0370-\u1dff\uac00-\ud7af]+")
_NOTES = re.compile(r"[A-Ga-gxz]+|[IViv]+|[A-G]b?(?:maj|min|dim|aug|sus|add|[mM])+")
_TUNE = re.compile(r"\s*X:[ \t]*[0-9]*[ \t]*\r?\n")
_NO_NOTES = re.compile(
    r"^(?:[A-Za-z]:|%).*$|\"[^\"\n]*\"|[!+][^!+\n]*[!+]|\[[A-Za-z]:[^\]]*\]", re.MULTILINE
)
_QUOTED = re.compile(r"'([^'\n]*)'")
_MUSIC = re.compile(r"[|\]\[:]|^[A-Za-z]:|[A-G][#b]?m?[,'\u2019\"]", re.MULTILINE)

_ENGLISH = frozenset((
    "the", "of", "and", "to", "in", "is", "that", "for", "with", "as", "on", "this", "are", "by",
    "be", "it", "its", "from", "at", "an", "which", "or", "not", "you", "was", "were", "have",
    "has", "your", "what", "how", "please", "write", "into", "each", "these", "their", "there",
    "they", "we", "he", "she", "i",
))  # fmt: skip

_FOREIGN = frozenset((
    "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "einen", "mit", "den", "dem", "von",
    "zu", "auf", "sich", "wie", "wird", "le", "la", "les", "des", "et", "est", "une", "du", "dans",
    "que", "pour", "qui", "avec", "sur", "pas", "el", "los", "las", "en", "una", "por", "con",
    "del", "se", "su", "il", "lo", "gli", "che", "di", "per", "sono", "della", "het", "een",
    "van", "dat", "niet", "op", "zijn", "os", "um", "uma", "não", "ao", "na", "em", "og", "det",
    "som", "är", "att", "och",
))  # fmt: skip


def language_of(record: Record) -> str:
    """Return the language of a record, one of `LANGUAGES`.

    That of a conversation is what the user writes in; where that is music alone, what the
    assistant does. Records of instruction families carry theirs. Cost: linear in the first
    `SAMPLE_CHARS` characters.
    """
    if "language" in record:
        language = str(record["language"])
        return language if language in LANGUAGES else "other"
    if "text" in record:
        return language_in(record["text"])
    for role in ("user", "assistant"):
        said = (m["content"] for m in record["messages"] if m["role"] == role)
        language = language_in("\n".join(said))
        if language != "music":
            break
    return language


def language_in(text: str) -> str:
    """Return the language of a text, one of `LANGUAGES`."""
    text = text[:SAMPLE_CHARS]
    if _TUNE.match(text) and not _words(notes := _NO_NOTES.sub("", text)):
        text = notes  # a bare tune, without the cost of looking for it
    elif _MUSIC.search(text):
        text = _without_music(text)
    words = _words(text)
    is_latin = text.isascii()
    num_han, num_else = (0 if is_latin else len(p.findall(text)) for p in (_HAN, _ELSE))
    if not words and not num_han and not num_else:
        return "music"
    if 2 * num_han >= len(words) + num_else and num_han:
        return "other" if 5 * len(_KANA.findall(text)) > num_han else "zh"
    num_english = sum(word in _ENGLISH for word in words)
    num_foreign = sum(word in _FOREIGN for word in words)
    is_foreign = num_else > len(words) or (num_foreign > num_english and num_foreign > 1)
    return "other" if is_foreign else "en"


def _without_music(text: str) -> str:
    """Return the text round its music; where that has no words, the terms in quotation marks."""
    source = masked(text)
    if any(letter.isalpha() for letter in source.words):
        return source.words
    return " ".join(term for part in source.parts for term in _QUOTED.findall(part))


def _words(text: str) -> list[str]:
    """Return the words in Latin letters, without names of notes, degrees and chords."""
    return [word.lower() for word in _LATIN.findall(text) if not _NOTES.fullmatch(word)]
