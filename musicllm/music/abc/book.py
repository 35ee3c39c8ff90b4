"""Splits a book, a file of ABC tunes, into its tunes; any file is accepted.

Reads line by line and holds one tune in memory. What cannot be a tune becomes a `Rejection` with
its reason, and reading goes on. Text between tunes is skipped, as ABC 2.1, section 2.2 requires.
Fields in the file header (up to the first blank line or `X:`) are copied into every tune that has
none of its own, after its titles (section 2.2.2); directives and instructions there are
skipped. In a file without `X:`, fields up to a `K:` line start a tune. Nothing is parsed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits
from musicllm.music.abc.model import Rejection, Tune
from musicllm.music.abc.prose import BLOCK_START, ends_block

HEAD_FIELDS = frozenset("ABCDFGHLMmNORrSUZ")
"""Fields that a file header may set for its tunes (ABC 2.1, section 3, table)."""
MAX_HEAD_CHARS = 4_000
"""Maximum length of the fields in a file header, which every tune repeats."""

_FIELD = re.compile(r"([A-Za-z+]):")
_EXCERPT_CHARS = 200
_CHUNK_CHARS = 1 << 20
_BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf"
"""The UTF-8 byte order mark, decoded as Latin-1."""


def read_book(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Tune | Rejection]:
    """Yield each tune of a file, and a rejection for each part that cannot be one.

    A tune starts at an `X:` line and ends at a blank line (outside blocks such as `%%begintext`) or
    the next `X:`. UTF-8 and Latin-1, all line endings, and a byte order mark are supported.
    Memory: at most the longest tune that `limits` allow plus 1 MiB. Time: linear in the
    file size.
    """
    name = str(path)
    try:
        # Latin-1 maps bytes to characters one to one, so UTF-8 can be recovered from it.
        with path.open(encoding="latin-1", newline=None) as file:
            yield from _read(file, name, limits)
    except OSError as error:
        yield Rejection(name, "", 0, f"cannot be read: {error.strerror or error}", "")


def _read(file: TextIO, name: str, limits: Limits) -> Iterator[Tune | Rejection]:
    tune: _OpenTune | None = None
    preamble = _Preamble(limits)
    first, is_silent, number = "", True, 0
    for number, line, is_whole in _lines(file, limits.max_line_chars):
        first = first or line
        if "\0" in line:
            yield Rejection(name, "", number, "binary file: it holds a zero byte", _excerpt(line))
            return
        starts = line.startswith("X:")
        if tune is not None and (starts or tune.ends_at(line)):
            yield tune.finish(name, preamble.head)
            tune = None
        if starts:
            yield from preamble.end(name, first)
            tune, is_silent = _OpenTune(number), False
        elif tune is None:
            tune = preamble.take(line, number) if is_whole else None
            is_silent = is_silent and tune is None
        if tune is not None:
            tune.add(line, is_whole, number, limits)
        elif not is_whole:
            reason = f"a line of more than {limits.max_line_chars:,} characters outside a tune"
            yield Rejection(name, "", number, reason, _excerpt(line))
            is_silent = False
    if tune is not None:
        yield tune.finish(name, preamble.head)
    if is_silent:
        reason = "no tune: no line starts with X: or K:" if number else "the file is empty"
        yield Rejection(name, "", min(number, 1), reason, _excerpt(first))


def _lines(file: TextIO, max_chars: int) -> Iterator[tuple[int, str, bool]]:
    """Yield the number of each line, its first `max_chars` characters, and whether that is all."""
    number = 1
    while line := file.readline(max_chars + 1):
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        is_whole = line.endswith("\n") or len(line) <= max_chars
        if not is_whole:
            while (chunk := file.readline(_CHUNK_CHARS)) and not chunk.endswith("\n"):
                pass
        yield number, line[:max_chars].rstrip("\n"), is_whole
        number += 1


class _Preamble:
    """The lines before the first `X:`: the file header, and tunes without a number.

    Attributes:
        head: field letter -> lines that the header sets for the tunes.
    """

    def __init__(self, limits: Limits) -> None:
        self.head: dict[str, list[str]] = {}
        self._line = 0
        self._limits = limits
        self._lines: list[str] | None = []
        self._num_chars = 0
        self._is_first, self._is_over = True, False

    def take(self, line: str, number: int) -> _OpenTune | None:
        """Add a line outside tunes; if it is the key of a tune without `X:`, return that tune."""
        if self._is_over:
            return None
        if not line.strip():
            if self._lines != []:
                self._end_paragraph()
            self._lines, self._num_chars = [], 0
        elif self._lines is None or not (line.startswith("%") or _FIELD.match(line)):
            self._lines = None
        elif line.startswith("K:"):
            return self._open_tune(number)
        else:
            self._line = self._line if self._lines else number
            self._lines.append(line)
            self._num_chars += len(line) + 1
            if self._num_chars > self._limits.max_tune_chars:
                self._lines = None
        return None

    def _open_tune(self, number: int) -> _OpenTune:
        """Return a tune without `X:` up to its key; its fields are not a file header."""
        tune = _OpenTune(self._line if self._lines else number)
        for field in ("X:1", *(self._lines or [])):
            tune.add(field, True, number, self._limits)
        self._lines, self._is_first = None, False
        return tune

    def end(self, name: str, first: str) -> Iterator[Rejection]:
        """At the first `X:`, take the lines before it as the file header unless too long."""
        if self._is_over:
            return
        if self._lines:
            self._end_paragraph()
        self._is_over = True
        if sum(len(line) for lines in self.head.values() for line in lines) > MAX_HEAD_CHARS:
            self.head = {}
            reason = f"its head sets more than {MAX_HEAD_CHARS:,} characters, and is not applied"
            yield Rejection(name, "", 1, reason, _excerpt(first))

    def _end_paragraph(self) -> None:
        letter = ""
        for line in (self._lines or []) if self._is_first else []:
            letter = line[0] if line[0] != "+" else letter
            if letter in HEAD_FIELDS:
                self.head.setdefault(letter, []).append(line)
        self._is_first = False


class _OpenTune:
    """The lines of a tune so far, or the reason why it is rejected."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.lines: list[str] = []
        self.num_chars = 0
        self.reason = ""
        self.fault_line = line
        self.block = ""

    def ends_at(self, line: str) -> bool:
        """Return whether the tune ends before this line: it is blank and not in a block."""
        return not line.strip() and not self.block

    def add(self, line: str, is_whole: bool, number: int, limits: Limits) -> None:
        """Add a line, or reject the tune."""
        if line.startswith("%%"):
            self._track_block(line)
        if self.reason:
            return
        self.num_chars += len(line) + 1
        if not is_whole:
            self.reason = f"a line of more than {limits.max_line_chars:,} characters"
        elif self.num_chars > limits.max_tune_chars:
            self.reason = f"the tune is longer than {limits.max_tune_chars:,} characters"
        if self.reason:
            self.fault_line = number
            self.lines = self.lines[:1] or [line[:_EXCERPT_CHARS]]
        else:
            self.lines.append(line)

    def finish(self, file: str, head: dict[str, list[str]]) -> Tune | Rejection:
        """Return the tune with the fields of the file header, or the rejection."""
        text = _decode("\n".join(_with_head(self.lines, head) if head else self.lines))
        number = text.partition("\n")[0][2:].strip()[:32]
        if self.reason:
            return Rejection(file, number, self.fault_line, self.reason, _excerpt(text))
        return Tune(text, number, file, self.line)

    def _track_block(self, line: str) -> None:
        if self.block:
            self.block = "" if ends_block(line, self.block) else self.block
        elif begin := BLOCK_START.match(line):
            self.block = begin[1]


def _with_head(lines: list[str], head: dict[str, list[str]]) -> list[str]:
    """Return a tune's lines, with the fields of the file header that it lacks after its titles."""
    own = set()
    for line in lines:
        own.add(line[:1] if line[1:2] == ":" else "")
        if line.startswith("K:"):
            break
    missing = [line for letter, fields in head.items() if letter not in own for line in fields]
    place = 1
    while place < len(lines) and lines[place].startswith("T:"):
        place += 1
    return [*lines[:place], *missing, *lines[place:]]


def _decode(text: str) -> str:
    """Decode text that was read as Latin-1 as UTF-8, if it is valid UTF-8."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def _excerpt(line: str) -> str:
    return _decode(line[:_EXCERPT_CHARS])
