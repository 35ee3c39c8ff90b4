"""Takes a book of tunes apart, whatever the file holds.

Reads line by line and keeps one tune in memory. What cannot be a tune becomes a `Rejection` with
its reason, and reading goes on. Text between tunes is read over, as ABC 2.1, section 2.2 says;
defaults in a file's head are not applied. Nothing is parsed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from musicllm.music.abc.limits import DEFAULT_LIMITS, Limits
from musicllm.music.abc.model import Rejection, Tune

_EXCERPT_CHARS = 200
_PIECE_CHARS = 1 << 20
_BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf"
"""That of UTF-8, read as Latin-1."""


def read_book(path: Path, limits: Limits = DEFAULT_LIMITS) -> Iterator[Tune | Rejection]:
    """Yield each tune of a file, and a rejection for whatever cannot be one.

    A tune starts at an `X:` line and ends at a blank line or the next `X:`. UTF-8 and Latin-1,
    every line ending, and a byte order mark are understood. Memory stays below the longest tune
    that `limits` allow plus 1 MiB; time is linear in the file's size.
    """
    name = str(path)
    try:
        # Latin-1 maps bytes to characters one to one, so that a line of UTF-8 survives it.
        with path.open(encoding="latin-1", newline=None) as file:
            yield from _read(file, name, limits)
    except OSError as error:
        yield Rejection(name, "", 0, f"cannot be read: {error.strerror or error}", "")


def _read(file: TextIO, name: str, limits: Limits) -> Iterator[Tune | Rejection]:
    tune: _OpenTune | None = None
    first, is_silent, number = "", True, 0
    for number, line, is_whole in _lines(file, limits.max_line_chars):
        first = first or line
        if "\0" in line:
            yield Rejection(name, "", number, "binary file: it holds a zero byte", _excerpt(line))
            return
        starts = line.startswith("X:")
        if tune is not None and (starts or not line.strip()):
            yield tune.finish(name)
            tune = None
        if starts:
            tune, is_silent = _OpenTune(number), False
        if tune is not None:
            tune.add(line, is_whole, number, limits)
        elif not is_whole:
            reason = f"a line of more than {limits.max_line_chars:,} characters outside a tune"
            yield Rejection(name, "", number, reason, _excerpt(line))
            is_silent = False
    if tune is not None:
        yield tune.finish(name)
    if is_silent:
        reason = "no tune: no line starts with X:" if number else "the file is empty"
        yield Rejection(name, "", min(number, 1), reason, _excerpt(first))


def _lines(file: TextIO, max_chars: int) -> Iterator[tuple[int, str, bool]]:
    """Yield each line's number, the line cut at `max_chars` without its end, and if it is whole."""
    number = 1
    while line := file.readline(max_chars + 1):
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        is_whole = line.endswith("\n") or len(line) <= max_chars
        if not is_whole:
            while (piece := file.readline(_PIECE_CHARS)) and not piece.endswith("\n"):
                pass
        yield number, line[:max_chars].rstrip("\n"), is_whole
        number += 1


class _OpenTune:
    """The lines of a tune so far, or why it is refused."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.lines: list[str] = []
        self.num_chars = 0
        self.reason = ""
        self.fault_line = line

    def add(self, line: str, is_whole: bool, number: int, limits: Limits) -> None:
        """Take a line, or refuse the tune from here on."""
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

    def finish(self, file: str) -> Tune | Rejection:
        """Return the tune, or why there is none."""
        text = _decode("\n".join(self.lines))
        number = text.partition("\n")[0][2:].strip()[:32]
        if self.reason:
            return Rejection(file, number, self.fault_line, self.reason, _excerpt(text))
        return Tune(text, number, file, self.line)


def _decode(text: str) -> str:
    """Turn bytes that were read as Latin-1 into UTF-8 text, where they are that."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return text


def _excerpt(line: str) -> str:
    return _decode(line[:_EXCERPT_CHARS])
