r"""Repairs unambiguous defects of a tune's text: decoding, layout, and header spellings.

Notes are never changed. Each repair leaves valid ABC as it is, so that it cannot change the
pitches or durations of a valid tune; what is wrong with the music itself (a bar that is too
long, an invalid note) stays. Characters that may also be meant
(escapes, entities, typography) are repaired only in tunes that do not parse. Repairs, by name, in
this order:

- `line ends`: `\r\n` and `\r`;
- `end-of-text marks`: `</s>`, `<br>` and similar between lines;
- `escaped line feeds`: the two characters `\n`; `character entities`: `&gt;` and similar;
- `typographic characters`: curly quotes around chord symbols, dashes as ties, `♯` before a note,
  wide colons and bars, unusual blanks; titles and other texts keep theirs;
- `indented lines`, `blank lines`, and `single line`: fields and music on one line;
- `header spellings`: `K:F sharp minor`, `M:common time`, `L:1/8th`, where ABC has an equivalent;
- `missing X:`, and for complete tunes, `missing final bar line`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from musicllm.music.abc.finder import MARK
from musicllm.music.abc.keys import parse_key
from musicllm.music.abc.limits import DEFAULT_LIMITS, AbcError, Limits
from musicllm.music.abc.parser import parse
from musicllm.music.abc.source import parse_metre, parse_unit_length, unfold

_MARKS = re.compile(rf"(?<!\s)\s*+(?:{MARK}\s*+)+")
_ESCAPED = re.compile(r"(?:\\r)?\\n")
_ENTITY = re.compile(r"&(?:gt|lt|amp|quot|apos|nbsp|#\d{2,4}|#x[0-9a-fA-F]{2,4});")
_TEXT_LINE = re.compile(r"[ \t]*[TCOANZSBDFGHWRwr][ \t]?[:：](?![|:])")
_INDENTED_FIELD = re.compile(r"^[ \t]+(?=[A-Za-z+][ \t]?:(?![|:]))", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n\s*\n")
_FIELD = re.compile(r"([A-Za-z+])[ \t]?:(.*)")
_TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("“”„‟″", '"'),
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("–—−‐‑", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f\u3000", " "),
        **dict.fromkeys("\ufeff\u200b\u200c\u200d", ""),
        **dict.fromkeys("⁄∕", "/"),
        "：": ":",
        "｜": "|",
        "¦": "|",
    }
)
_ENDED = re.compile(r"(?:\||::)[]:0-9!*\\)\s]*\Z")
_ACCIDENTAL = re.compile(r"([♯♭♮])(?=[A-Ga-g])")
_ACCIDENTALS = {"♯": "^", "♭": "_", "♮": "="}


def repair(
    text: str, complete: bool = False, limits: Limits = DEFAULT_LIMITS
) -> tuple[str, tuple[str, ...]]:
    """Return the repaired text of a tune, and the names of the repairs.

    A valid tune is returned as it is. Cost: linear in the text.

    Args:
        text: from the tune's first field to its end.
        complete: whether the tune is not an excerpt, and must end with a bar line.
        limits: those that the tune is parsed with.
    """
    names = []
    repairs = {**_REPAIRS, "missing final bar line": _close} if complete else _REPAIRS
    for name, apply in repairs.items():
        repaired = apply(text)
        if repaired != text and not (name in _DOUBTFUL and _can_be_read(text, limits)):
            names.append(name)
            text = repaired
    return text, tuple(names)


def _can_be_read(text: str, limits: Limits) -> bool:
    try:
        parse(text, limits)
    except AbcError:
        return False
    return True


def _line_ends(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _marks(text: str) -> str:
    return _MARKS.sub("\n", text).strip("\n") if "<" in text else text


def _escapes(text: str) -> str:
    return _ESCAPED.sub("\n", text).replace('\\"', '"') if "\\n" in text else text


def _entities(text: str) -> str:
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _typography(text: str) -> str:
    return text if text.isascii() else "\n".join(map(_plain_line, text.split("\n")))


def _plain_line(line: str) -> str:
    if line.isascii():
        return line
    match = _TEXT_LINE.match(line)
    if match:
        return match[0].replace("：", ":") + line[match.end() :]
    plain = line.translate(_TYPOGRAPHY)
    parts = plain.split('"')  # text in quotation marks is at odd indices
    parts[::2] = (_ACCIDENTAL.sub(lambda m: _ACCIDENTALS[m[1]], part) for part in parts[::2])
    return '"'.join(parts)


def _indents(text: str) -> str:
    return _INDENTED_FIELD.sub("", text)


def _blank_lines(text: str) -> str:
    return _BLANK_LINES.sub("\n", text) if "\n" in text else text


def _header(text: str) -> str:
    """Respell invalid header fields whose meaning is clear."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        match = _FIELD.fullmatch(line)
        if match is None:
            continue
        letter, value = match[1], match[2].strip()
        if letter in _READERS and not _is_readable(letter, value):
            repaired = _respell(letter, value)
            if _is_readable(letter, repaired):
                lines[number] = f"{letter}:{repaired}"
        elif line[1] != ":" and letter in "XKML":
            lines[number] = f"{letter}:{value}"
        if letter == "K":
            break
    return "\n".join(lines)


def _respell(letter: str, value: str) -> str:
    value = value.partition("%")[0].strip().rstrip(".,;").strip()
    for pattern, replacement in _SPELLINGS[letter]:
        value = pattern.sub(replacement, value)
    return value


def _is_readable(letter: str, value: str) -> bool:
    try:
        _READERS[letter](value.partition("%")[0].strip())
    except AbcError:
        return False
    return True


def _number(text: str) -> str:
    return text if text.startswith("X:") else f"X:1\n{text}"


def _close(text: str) -> str:
    """Add a final bar line to the last line of music, before a comment and lyrics."""
    head, key, body = text.partition("\nK:")
    lines = body.split("\n")
    for number in range(len(lines) - 1, 0, -1):
        music, percent, comment = lines[number].partition("%")
        if music.strip() and not _FIELD.match(music):
            if not _ENDED.search(music):
                lines[number] = f"{music.rstrip()} |]{percent and ' %'}{comment}"
            break
    return head + key + "\n".join(lines)


_READERS: dict[str, Callable[[str], object]] = {
    "K": parse_key,
    "M": parse_metre,
    "L": parse_unit_length,
}
_SPELLINGS = {
    letter: [(re.compile(pattern), replacement) for pattern, replacement in rules]
    for letter, rules in {
        "K": [
            (r"(?i)[ _-]*sharp\b", "#"),
            (r"(?i)[ _-]*flat\b", "b"),
            (r"(?i)\b(?:natural|harmonic|melodic)[ _-]*(?=minor)", ""),
            (r"(?i)(?<=[A-G#b])[ _-]+(?=[a-z])", " "),
        ],
        "M": [
            (r"(?i)(?:common(?: time)?|c)\Z", "C"),
            (r"(?i)(?:cut(?: time)?|alla breve|c\|)\Z", "C|"),
            (r"\s*\\\s*", "/"),
            (r"(?i)\s*time\Z", ""),
        ],
        "L": [(r"\A1?\s*[/\\]\s*(\d+)\s*(?:th|nd)?\Z", r"1/\1")],
    }.items()
}
_DOUBTFUL = frozenset(("escaped line feeds", "character entities", "typographic characters"))
"""Repairs of characters that may be intended, such as `\\n` in the name of a voice."""
_REPAIRS: dict[str, Callable[[str], str]] = {
    "line ends": _line_ends,
    "end-of-text marks": _marks,
    "escaped line feeds": _escapes,
    "character entities": _entities,
    "typographic characters": _typography,
    "indented lines": _indents,
    "blank lines": _blank_lines,
    "single line": unfold,
    "header spellings": _header,
    "missing X:": _number,
}
