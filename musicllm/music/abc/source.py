"""Splits a tune's text into header fields and lines of music.

Comments, `%%` directives and their blocks, lyrics and text fields are dropped here: nothing after
this module can include a file or run a directive. Also `unfold`, which splits a tune on one line,
as ChatMusician and MusicPile write it, into lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from musicllm.music.abc.limits import AbcError, Limits, shorten
from musicllm.music.abc.prose import comment_out

_FIELD = re.compile(r"([A-Za-z+]):(.*)")
_BODY_FIELD = re.compile(r"([A-Za-z+]):(?![|:])(.*)")
END_OF_TEXT = re.compile(r"</?s>|<\|endoftext\|>|<\|im_end\|>")
_FOLDED = re.compile(
    r"^[XLMQ][ \t]?:[^\n]*?[ \t][A-Za-z][ \t]?:[ \t]*[^\s|:]|^K[ \t]?:[^\n]*\|", re.MULTILINE
)
_NEXT_FIELD = re.compile(r"\s+(?=[A-JL-Zmr][ \t]?:[ \t]*[^|:\s])")
_FOLDED_KEY = re.compile(
    r"(?<!\S)K[ \t]?:\s*(?:none\b|H[Pp]\b|[A-G][#b]?"
    r"(?:\s*(?i:maj|min|mix|dor|phr|lyd|loc|ion|aeo)[A-Za-z]*|[mM](?![A-Za-z:]))?)"
)
_FOLDED_BODY_FIELD = re.compile(r"(?:^|\s)([VMKLPQ]:[ \t]?[^\s|:]+)(?=\s|$)")
_ONE_METRE = re.compile(r"C\|?|[0-9+()]+/[0-9]+")
_METRE = re.compile(r"\(?([0-9]{1,2}(?:\s*\+\s*[0-9]{1,2})*)\)?\s*/\s*([0-9]{1,3})")
_TEXT_ENDING = re.compile(r'((?:^|[|\]:])[ \t]*)\["([^"|\]\n]*)"(?![^\[\]|\n]*\])', re.MULTILINE)
MUSICAL_FIELDS = frozenset("KLMV")
"""Fields that affect the notes after them in the body."""

PART_FIELD = "P"
"""The field that marks a section (ABC 2.1, section 3.1.9); it affects no notes."""


@dataclass(frozen=True, slots=True)
class BodyLine:
    """A line of the body.

    Attributes:
        number: line in the tune's text, from 1.
        field: K, L, M, P or V; empty for a line of music.
        text: the field's value or the music, without its comment.
    """

    number: int
    field: str
    text: str


@dataclass(frozen=True)
class Source:
    """A tune's text, split.

    Attributes:
        text: that the line numbers refer to.
        header: field letter -> (value, line).
        voices: values of the header's `V:` fields, with their lines.
        body: the lines after the `K:` line.
    """

    text: str
    header: dict[str, tuple[str, int]]
    voices: tuple[tuple[str, int], ...]
    body: tuple[BodyLine, ...]


def unfold(text: str) -> str:
    """Return a tune with each header field, and the body, on its own line.

    A tune in the single-line form (`X:1 L:1/8 M:2/4 K:G G2BG | ...`) is split, and so are
    header lines with several fields, and music after the key; other text is returned as it
    is. End-of-text marks such as `</s>`, and blanks at both ends, are always removed.
    """
    text = END_OF_TEXT.sub(" ", text).strip() if "<" in text else text.strip()
    key = _FOLDED_KEY.search(text)
    if key is None:
        return text
    key_line_end = text.find("\n", key.end())
    if not _FOLDED.search(text, 0, key_line_end if key_line_end >= 0 else len(text)):
        return text
    header = [
        _NEXT_FIELD.sub("\n", line) if line[:1] in "XLMQ" else line
        for line in text[: key.start()].rstrip().split("\n")
    ]
    rest, *body = text[key.end() :].split("\n")
    if text[: key.start()].endswith("\n") and "|" not in rest:
        return "\n".join([*header, key.group() + rest, *body])
    pieces = [piece.strip() for piece in _FOLDED_BODY_FIELD.split(rest)]
    return "\n".join([*filter(None, [*header, key.group().strip(), *pieces]), *body])


@lru_cache(maxsize=8)
def read_source(text: str, limits: Limits) -> Source:
    """Split a tune's text; the last few are cached, since a parsed tune is often written next.

    Raises:
        AbcError: too long, no `K:` line, a header line that is not a field, or an open block.
    """
    if len(text) > limits.max_tune_chars:
        raise AbcError(f"the tune is longer than {limits.max_tune_chars:,} characters")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = unfold(comment_out(text))
    if '["' in text:
        text = _TEXT_ENDING.sub(_plain_ending, text)
    if not text:
        raise AbcError("the text is empty")
    lines = iter(enumerate(text.split("\n"), start=1))
    header, voices = _read_header(lines, limits)
    body = list(_read_body(lines, limits))
    while body and body[0].field in ("L", "M") and body[0].field not in header:
        late = body.pop(0)
        header[late.field] = (late.text, late.number)
    return Source(text, header, tuple(voices), tuple(body))


def _plain_ending(match: re.Match[str]) -> str:
    """Write an ending with a text instead of a number (`["1st time"`) as `[1 "^1st time"`."""
    number = re.search(r"[1-9]", match[2])
    return f'{match[1]}{f"[{number[0]} " if number else ""}"^{match[2]}"'


def _content(number: int, line: str, limits: Limits) -> str:
    """Return a line without its comment."""
    if len(line) > limits.max_line_chars:
        raise AbcError(f"longer than {limits.max_line_chars:,} characters", number)
    return without_comment(line) if "%" in line else line.rstrip()


def without_comment(line: str) -> str:
    r"""Return a line up to the `%` of a comment; in texts, `\%` is a character."""
    end = line.find("%")
    while end > 0 and line[end - 1] == "\\" and _is_text(line, end):
        end = line.find("%", end + 1)
    return (line if end < 0 else line[:end]).rstrip()


def _is_text(line: str, place: int) -> bool:
    """Return whether an index is in a field or in quotes; elsewhere a backslash joins lines."""
    return bool(_FIELD.match(line)) or line.count('"', 0, place) % 2 == 1


def _read_header(
    lines: Iterator[tuple[int, str]], limits: Limits
) -> tuple[dict[str, tuple[str, int]], list[tuple[str, int]]]:
    """Return the fields up to `K:`, and all `V:` fields among them."""
    header: dict[str, tuple[str, int]] = {}
    voices: list[tuple[str, int]] = []
    for number, line in lines:
        content = _content(number, line, limits)
        if not content:
            if line.strip():
                continue
            raise AbcError('a blank line ends the header before its "K:" line', number)
        match = _FIELD.match(content)
        if match is None:
            raise AbcError(f'"{shorten(content)}" is no header field, and no "K:" came yet', number)
        letter, value = match[1], match[2].strip()
        if letter in MUSICAL_FIELDS:
            value = value.rstrip("\\ ")
        if letter == "V":
            voices.append((value, number))
        if letter != "T" or letter not in header:
            header[letter] = (value, number)
        if letter == "K":
            return header, voices
    raise AbcError('the tune has no "K:" line')


def _read_body(lines: Iterator[tuple[int, str]], limits: Limits) -> Iterator[BodyLine]:
    ended = 0
    for number, line in lines:
        content = _content(number, line, limits)
        if not content:
            ended = ended or (0 if line.strip() else number)
            continue
        if ended:
            raise AbcError("a blank line ends the tune, but more text follows", ended)
        match = _BODY_FIELD.match(content)
        if match is None:
            yield BodyLine(number, "", content)
        elif match[1] in MUSICAL_FIELDS or match[1] == PART_FIELD:
            yield BodyLine(number, match[1], match[2].strip().rstrip("\\ "))


@lru_cache(maxsize=4096)
def parse_metre(value: str) -> tuple[Fraction | None, str, bool]:
    """Parse the value of an `M:` field: bar length, canonical spelling, and whether it is compound.

    Of alternating metres (`3/4 4/4`) the first counts.

    Raises:
        AbcError: it is not a metre, has more than 64 beats, or a unit below 1/64.
    """
    text = value.strip()
    if several := _several(text):
        metres = [parse_metre(metre) for metre in several]
        return metres[0][0], " ".join(name for _, name, _ in metres), metres[0][2]
    if text in ("C", "C|"):
        return Fraction(1), "4/4" if text == "C" else "2/2", False
    if text.lower() in ("none", ""):
        return None, "none", False
    match = _METRE.fullmatch(text)
    beats = sum(int(n) for n in match[1].split("+")) if match else 0
    unit = int(match[2]) if match else 0
    if not 1 <= beats <= 64 or unit not in (1, 2, 4, 8, 16, 32, 64):
        raise AbcError(f'"M:{shorten(value)}" names no metre')
    return Fraction(beats, unit), f"{beats}/{unit}", unit >= 4 and beats in (6, 9, 12)


def _several(text: str) -> list[str]:
    words = text.split()
    is_single = len(words) < 2 or len(words) > 4 or _METRE.fullmatch(text)
    return [] if is_single or not all(map(_ONE_METRE.fullmatch, words)) else words


@lru_cache(maxsize=4096)
def alternating(value: str) -> tuple[Fraction, ...]:
    """Return the bar lengths of an `M:` field with alternating metres; else an empty tuple.

    Raises:
        AbcError: it is not a metre.
    """
    lengths = (parse_metre(metre)[0] for metre in _several(value.strip()))
    return tuple(length for length in lengths if length is not None)


@lru_cache(maxsize=4096)
def parse_unit_length(value: str) -> Fraction:
    """Parse the value of an `L:` field, between 1 and 1/64.

    Raises:
        AbcError: it is not a note length.
    """
    match = re.fullmatch(r"1(?:\s*/\s*(1|2|4|8|16|32|64))?", value.strip())
    if match is None:
        raise AbcError(f'"L:{shorten(value)}" names no note length from 1 to 1/64')
    return Fraction(1, int(match[1] or 1))


def default_unit_length(metre: Fraction | None) -> Fraction:
    """Return the note length of a tune without `L:` (ABC 2.1, section 3.1.7)."""
    short = metre is not None and metre < Fraction(3, 4)
    return Fraction(1, 16) if short else Fraction(1, 8)
