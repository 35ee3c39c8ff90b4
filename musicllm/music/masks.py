"""Music in a text replaced by marks such as `[[1]]`, and put back once the text is translated.

What a translator never sees cannot be changed: tunes and lines of headers, bars, lists of chords
and of quoted terms before a tune, placeholders in braces, code, addresses and special tokens are
put back as they were, byte by byte. Requests that differ in their music alone are one text of
marks, so each wording is translated once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from musicllm.music.abc.chord_symbols import read_chord
from musicllm.music.abc.finder import find_tunes

_MARK = re.compile(r"\[\[\s*([0-9]+)\s*\]\]")
_CHORD = re.compile(
    r"[A-G](?:#|♯|b|♭)?(?:maj|min|dim|aug|sus|add|[mM])*(?:[0-9]{0,2}(?:maj|sus|add|dim|[#b♯♭+/])?)*"
    r"(?:/[A-G](?:#|♯|b|♭)?)?"
)
_FIXED = re.compile(
    r"\[\[\s*[0-9]+\s*\]\]"  # what looks like a mark
    r"|`[^`\n]*`|\{[^{}\n]*\}|https?://[^\s，。；）)]+|<\|[^|\n]*\|>|</?s>"
    r"|(?m:^[ \t]*[A-Zmw]:[^\n]*$)"  # a field on a line of its own
    r"|(?<![A-Za-z0-9])(?:X|M|L|Q|K):[ \t]?[A-G0-9][\w/#=]*(?:[ \t]*(?:maj|min|dor|mix|m)\b)?"
    r"|'[^'\n]{1,60}'(?:,[ ]?'[^'\n]{1,60}')*(?=;|[ \t]*(?:\n|\Z))"  # quoted terms, in MusicPile
    r"|\['[^\n\]]*'\]"  # a motif, in MusicPile
    r"|(?<![A-Za-z])[A-H]{1,16}(?=;[ \t\n]*(?:X:|[A-Z]:|\[))"  # letters of a form before a header
)
_ABC_TOKEN = re.compile(r"""[A-Ga-gxyzZ0-9/,'^_=()<>~.\-{}!:|"\[\]#mj]+""")
_BAR = re.compile(r"[A-Ga-gz][^\n]*\||\|[^\n]*[A-Ga-gz]")
_WORDS = re.compile(r"[^\s?;，。；：？！]+")
_QUOTE = "[\"'“”‘’`]?"
_NAME = r"[A-G](?![a-z]{2})[A-Za-z0-9#♯♭/+]*"
_LIST = re.compile(rf"{_QUOTE}{_NAME}{_QUOTE}(?:\s*[,，、|→>–—-]\s*{_QUOTE}{_NAME}{_QUOTE})+")
_MEMBER = re.compile(_NAME)
_BETWEEN = re.compile(r"[\s;,，；]*")


@dataclass(frozen=True)
class Masked:
    """A text without its music.

    Attributes:
        text: with a mark in the place of each part.
        parts: what the marks stand for, in their order.
    """

    text: str
    parts: tuple[str, ...]

    def restored(self, text: str) -> str | None:
        """Return a text with its marks replaced; None unless each of them is there once."""
        if marks_in(text) != list(range(1, len(self.parts) + 1)):
            return None
        return _MARK.sub(lambda match: self.parts[int(match[1]) - 1], text)

    @property
    def words(self) -> str:
        """The text without marks."""
        return without_marks(self.text)


def masked(text: str) -> Masked:
    """Return a text with marks in the place of its music; neighbours are one part.

    Cost: linear in the text.
    """
    pieces, parts, place = [], [], 0
    for start, stop in _joined(text):
        parts.append(text[start:stop])
        pieces += [text[place:start], f"[[{len(parts)}]]"]
        place = stop
    return Masked("".join([*pieces, text[place:]]), tuple(parts))


def marks_in(text: str) -> list[int]:
    """Return the numbers of the marks of a text, ascending."""
    return sorted(int(number) for number in _MARK.findall(text))


def without_marks(text: str) -> str:
    """Return a text whose marks are blanks."""
    return _MARK.sub(" ", text)


def is_chord_name(word: str) -> bool:
    """Return whether a word is a chord symbol of more than a letter, such as `Am` or `C/E`."""
    return len(word) > 1 and bool(_CHORD.fullmatch(word)) and read_chord(word) is not None


def _joined(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of music, in order and apart from each other."""
    tunes = [(span.start, span.stop) for span in find_tunes(text)]
    start = stop = 0
    for begin, end in sorted([*tunes, *_fixed(text)]):
        if stop and (begin <= stop or _BETWEEN.fullmatch(text, stop, begin)):
            stop = max(stop, end)
            continue
        if stop:
            yield start, stop
        start, stop = begin, end
    if stop:
        yield start, stop


def _fixed(text: str) -> Iterator[tuple[int, int]]:
    for match in _FIXED.finditer(text):
        yield match.span()
    for match in _LIST.finditer(text):
        names = _MEMBER.findall(match[0])
        if all(len(name) == 1 or is_chord_name(name) for name in names):
            yield match.span()
    run: list[tuple[int, int]] = []
    for word in [*_WORDS.finditer(text), None]:
        is_music = word is not None and bool(_ABC_TOKEN.fullmatch(word[0]))
        if word and is_music and not (run and text[run[-1][1] : word.start()].strip(" \t")):
            run.append(word.span())
            continue
        if run and _BAR.search(text[run[0][0] : run[-1][1]]):
            yield run[0][0], run[-1][1]
        run = [word.span()] if word and is_music else []
