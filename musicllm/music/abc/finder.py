r"""Finds the tunes in a text: amid prose, in code fences, in model answers, several in one text.

A tune is a header and music. The header starts with `X:` and a number and has a metre, a unit
length or a key; without `X:` it has a readable key, and a readable metre or unit length. Fields are
on lines of their own or, one after the other, on one line. A line ends with a line feed, with the
two characters `\n`, `<br>`, or an end-of-text mark such as `</s>`. The music ends at a blank line,
at the next `X:`, at a closing fence or quotation mark, and before prose, except prose in a block
such as `%%begintext`. A header without music is not a tune, nor is music without a header. Nothing
is parsed or changed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from musicllm.music.abc.prose import BLOCK_START

MARK = r"(?:</?s>|<br ?/?>|<\|\w+\|>)"
"""Marks that end a line or a text."""
_LINE = re.compile(
    rf"([^\n\r\\<]*+(?:(?!{MARK}|\\n|\\r\\n)[\\<][^\n\r\\<]*+)*)"
    rf"(\s*+(?:{MARK}\s*+)+|\r\n?|\n|(?:\\r)?\\n|\Z)"
)
_PLAIN_LINE = re.compile(
    rf"([^\n\r<]*+(?:(?!{MARK})<[^\n\r<]*+)*)(\s*+(?:{MARK}\s*+)+|\r\n?|\n|\Z)"
)
"""A line of a tune with real line feeds, where `\\n` is two characters of the text."""
_COLON = r"[ \t]?[:：][ \t]*"
_VALUES = {
    "K": r"(?:none\b|H[Pp]\b|[A-G](?:[#b♯♭]|\b|(?=m|M(?:aj|in|ix)|(?i:dor|phr|lyd|loc|ion|aeo))))",
    "M": r"(?:C\b|none\b|[0-9]{1,2}[ \t]*/[ \t]*[0-9])",
    "L": r"1[ \t]*/[ \t]*[0-9]",
}
_READABLE = {letter: re.compile(value) for letter, value in _VALUES.items()}
_ANY_START = "|".join(rf"{letter}{_COLON}{value}" for letter, value in _VALUES.items())
_START = re.compile(rf"""(?:(?<![^\s"'`(>*:：“”\]])|(?<=\\n))(?:X{_COLON}[0-9]|{_ANY_START})""")
_FIELD = re.compile(r"[ \t]*(?:([A-Za-z+])[ \t]?[:：](?![|:])[ \t]*|%)")
_NEXT_FIELD = re.compile(rf"[ \t]+(?=[A-Za-z]{_COLON}[^|:\s])")
_SHORT_FIELDS = frozenset("XLMQ")
_FOLDED_KEY = re.compile(
    rf"{_VALUES['K']}(?:[ \t]*(?i:maj|min|mix|dor|phr|lyd|loc|ion|aeo)[A-Za-z]*|[mM](?![A-Za-z:]))?"
)
_TITLED = re.compile(r"[ \t]*[A-Z]:")
_BODY_FIELD = re.compile(r"[ \t]*(?:[IKLMNPRTUVWmrsw+][ \t]?[:：](?![|:])|Q:[ \t]*[0-9\"C]|%)")
_ASIDE = re.compile(r'"[^"]*"|![^!\s|]*!|\[[A-Za-z]:[^\]|]*\]|&#?\w{1,8};')
_WORD = re.compile(r'[h-tw](?![A-Ga-gxzuv.~^_=({\["])|[^\x00-\x7f]{2,}')
_MUSIC = re.compile(r'[A-Ga-gzxZ|"\\]')
_BAR_LINE = re.compile(r"\|[\]:]*")
_MAX_BLOCK_CHARS = 10_000
_CLOSERS = "\"'`\u201d\u2019).,;? \t"
_NEXT_TUNE = re.compile(rf"(?<=\s)X{_COLON}[0-9]")
_CLOSING_QUOTE = re.compile(r'(?<!\\)["”](?=\s*(?:[,;:.)}\]]|\Z|\n))')


@dataclass(frozen=True, slots=True)
class TuneSpan:
    """The place of a tune in a text.

    Attributes:
        start: index of its first character.
        stop: index after its last character; trailing white space and end-of-text marks are
            excluded.
        quoted: it is in quotation marks, where line feeds may be escaped.
    """

    start: int
    stop: int
    quoted: bool


@dataclass(slots=True)
class _Header:
    """The fields so far, and where the next field or the music starts."""

    stop: int
    values: dict[str, str] = field(default_factory=dict)
    last: str = ""
    on_one_line: bool = True
    spaced: bool = False
    line: re.Pattern[str] = _LINE

    def has_readable(self, letter: str) -> bool:
        return letter in self.values and bool(_READABLE[letter].match(self.values[letter]))

    def is_plausible(self) -> bool:
        """With a number, fields need not be readable, unless all are on one line of prose."""
        if "X" in self.values and not self.on_one_line:
            return not self.values.keys().isdisjoint("KLM")
        return self.has_readable("K") and (self.has_readable("M") or self.has_readable("L"))


def may_hold_tune(text: str) -> bool:
    """Return whether a text may contain a tune; a microsecond for a page of prose."""
    return "K:" in text or "X:" in text or "K :" in text or "K：" in text


def find_tunes(text: str) -> list[TuneSpan]:
    """Return the tunes in a text, in order; they do not overlap. Cost: linear in the text."""
    return list(_find(text)) if may_hold_tune(text) else []


def _find(text: str) -> Iterator[TuneSpan]:
    floor, closing = 0, -1
    while begin := _START.search(text, floor):
        start = begin.start()
        quoted = start > 0 and text[start - 1] in '"“'
        if quoted and closing < start:
            quote = _CLOSING_QUOTE.search(text, start)
            closing = quote.start() if quote else len(text)
        limit = closing if quoted else len(text)
        header = _read_header(text, start, limit)
        stop = _read_music(text, header, limit) if header.is_plausible() else 0
        if stop:
            if "X" not in header.values:
                start = _title_before(text, start, floor)
            yield TuneSpan(start, stop, quoted)
        floor = max(stop or header.stop, begin.end())


def _title_before(text: str, start: int, floor: int) -> int:
    """Return where a header without `X:` starts: at a title or rhythm among the fields above."""
    place = first = start
    while place > floor and text[place - 1] == "\n":
        place = max(text.rfind("\n", floor, place - 1) + 1, floor)
        if not _TITLED.match(text, place):
            break
        if text.startswith(("T:", "R:"), place):
            first = place
    return first


def _read_header(text: str, start: int, limit: int) -> _Header:
    header = _Header(start)
    first = _LINE.match(text, start, limit)
    if first and ("\n" in first[2] or "\r" in first[2]):
        header.line = _PLAIN_LINE
    while match := _next_field(text, header, limit):
        letter = header.last = match[1] or "%"
        if ("K" in header.values and letter not in "LMQ") or (letter == "X" and header.values):
            break
        line = header.line.match(text, match.end(), limit)
        assert line is not None, "a line ends at the end of the text at the latest"
        if letter == "K" and "|" in line[1] and (key := _FOLDED_KEY.match(line[1])):
            header.values["K"] = key[0]
            header.stop = match.end() + key.end()
            break
        fold = None
        if header.on_one_line or letter in _SHORT_FIELDS:
            fold = _NEXT_FIELD.search(text, match.end(), line.end(1))
        header.values.setdefault(letter, text[match.end() : fold.start() if fold else line.end(1)])
        header.stop = fold.end() if fold else line.end()
        if fold is None:
            header.on_one_line = False
            header.stop = _over_block(text, match.start(), limit) or header.stop
            header.stop = _over_gap(text, header, limit)
    return header


def _next_field(text: str, header: _Header, limit: int) -> re.Match[str] | None:
    """Return the next field; in a numbered header one line that is not a field may precede it.

    After `H:` several lines may, since a history could continue over lines before ABC 2.0.
    """
    place = header.stop
    match = _FIELD.match(text, place, limit)
    if header.on_one_line or "X" not in header.values or "K" in header.values:
        return match
    while match is None:
        line = header.line.match(text, place, limit)
        if line is None or not line[1].strip():
            return None
        place = line.end()
        match = _FIELD.match(text, place, limit)
        if header.last != "H":
            break
    return match


def _over_block(text: str, place: int, limit: int) -> int:
    """Return the end of a block such as `%%begintext` that starts here; 0 if none does."""
    begin = BLOCK_START.match(text, place, limit)
    if begin is None:
        return 0
    end = text.find(f"\n%%end{begin[1]}", place, min(limit, place + _MAX_BLOCK_CHARS))
    line = _LINE.match(text, end + 1, limit) if end >= 0 else None
    return line.end() if line else 0


def _over_gap(text: str, header: _Header, limit: int) -> int:
    """Return where the header continues after a blank line, if a field or music follows."""
    gap = header.line.match(text, header.stop, limit)
    if gap is None or gap[1].strip() or gap.end() >= limit:
        return header.stop
    following = header.line.match(text, gap.end(), limit)
    assert following is not None, "a line ends at the end of the text at the latest"
    is_music = "K" in header.values and "|" in following[1] and _music_chars(following[1])
    if is_music or ("K" not in header.values and _FIELD.match(following[1])):
        header.spaced = header.spaced or "K" not in header.values
        return gap.end()
    return header.stop


def _read_music(text: str, header: _Header, limit: int) -> int:
    """Return where the music after a header ends; 0 if there is none."""
    start = place = header.stop
    stop, is_music, is_after_gap = 0, False, False
    while place < limit:
        if block_stop := _over_block(text, place, limit):
            place = block_stop
            stop = place
            continue
        line = header.line.match(text, place, limit)
        assert line is not None, "a line ends at the end of the text at the latest"
        following = _NEXT_TUNE.search(line[1])
        content = line[1][: following.start()] if following else line[1]
        if content.strip():
            is_field = bool(_BODY_FIELD.match(content))
            num_chars = len(content) if is_field else _music_chars(content)
            stop = place + num_chars if num_chars else stop
            is_music = is_music or (num_chars > 0 and not is_field)
            if num_chars < len(content):
                break
        elif is_after_gap or not header.spaced:
            break
        if following:
            break
        is_after_gap = not content.strip()
        place = line.end()
    header.stop = min(place, limit)
    if not is_music or ("X" not in header.values and "|" not in text[start:stop]):
        return 0
    return _without_closers(text, start, stop)


def _without_closers(text: str, start: int, stop: int) -> int:
    """Exclude blanks, and after a bar line whatever closes the sentence around the tune."""
    music = text[start:stop].rstrip()
    bare = music.rstrip(_CLOSERS)
    return start + len(bare if bare.endswith(("|", "|]")) else music)


def _music_chars(line: str) -> int:
    """Return how much of a line is music: all of it, up to its last bar line, or nothing (0).

    Prose is recognised by letters that music does not use, or only before a note.
    """
    if not _MUSIC.search(line):
        return 0
    if not _WORD.search(line):
        return len(line)
    num_words = len(_WORD.findall(_ASIDE.sub("", line.partition("%")[0])))
    if num_words == 0:
        return len(line)
    last = _BAR_LINE.match(line, max(line.rfind("|"), 0))
    end = last.end() if last else 0
    num_within = len(_WORD.findall(_ASIDE.sub("", line[:end])))
    if 2 * num_within > line.count("|"):
        return 0
    return len(line) if num_within == num_words else end
