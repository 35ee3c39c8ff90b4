"""Where the bars of a tune stand in its text, for whoever marks them there.

The parser is followed while it reads; nothing is parsed a second way. Its lines count in the text
that it read, in which a tune on one line is unfolded and prose commented out; `Alignment` brings
the places back to the text as it was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from musicllm.music.abc.limits import DEFAULT_LIMITS, AbcError, Limits
from musicllm.music.abc.model import Score
from musicllm.music.abc.parser import Parser
from musicllm.music.abc.source import END_OF_TEXT, BodyLine, read_source

Place = tuple[int, int]
"""Index of a first character, and index after the last one."""

_BLANKS = frozenset(" \t\r\n\\")
"""Blanks, and the backslash that joins lines."""


def parse_with_places(text: str, limits: Limits = DEFAULT_LIMITS) -> tuple[Score, list[Place]]:
    """Parse a tune; return it with the place of each of its bars in the text.

    A place holds the music between two bar lines, without them; a bar that goes on in another line
    has all between. The bars of one rest (`Z4`) share its place. Cost: that of `parse`, about
    twice.

    Args:
        text: as for `parse`.
        limits: likewise.

    Raises:
        AbcError: as `parse`.
    """
    source = read_source(text, limits)
    parser = _PlacingParser(source, limits)
    score = parser.read()
    starts = line_starts(source.text)
    align = Alignment(source.text, text)
    places = []
    for (first, begin), (last, end) in parser.places:
        stop = align.place(starts[last] + end - 1) + 1
        place = align.place(starts[first] + begin)
        while place < stop - 1 and text[place] in _BLANKS:
            place += 1
        places.append((place, stop))
    return score, places


def place_of_error(text: str, error: AbcError, limits: Limits = DEFAULT_LIMITS) -> Place | None:
    """Return the place in a tune's text of an error of `parse`: a character, or a line.

    None where the error concerns the whole text.
    """
    if error.line is None:
        return None
    try:
        source = read_source(text, limits).text
    except AbcError:  # the lines of an error in the header count in the text itself
        source = text.replace("\r\n", "\n").replace("\r", "\n")
    lines, starts = source.split("\n"), line_starts(source)
    if not error.line <= len(lines):
        return None
    line, start = lines[error.line - 1], starts[error.line - 1]
    begin, end = (0, len(line)) if error.column is None else (error.column - 1, error.column)
    align = Alignment(source, text)
    if begin >= len(line):
        return align.place(start), align.place(start)
    return align.place(start + begin), align.place(start + end - 1) + 1


def line_starts(text: str) -> list[int]:
    """Return the index of the first character of each line."""
    return [0, *accumulate(len(line) + 1 for line in text.split("\n"))]


class Alignment:
    """Maps places of a text that was prepared for the parser to those of the text as it was.

    The preparation only changes white space, removes end-of-text marks, and inserts characters.

    Args:
        prepared: the text that was parsed.
        text: the text as it was.
    """

    def __init__(self, prepared: str, text: str) -> None:
        self._size = len(text)
        self._prepared: Sequence[int] = ()
        self._original: Sequence[int] = ()
        if prepared != text:
            self._prepared, self._original = _blocks(prepared, text)

    def place(self, index: int) -> int:
        """Return the index in the text as it was of a character of the prepared text."""
        if not self._prepared:
            return index
        block = max(bisect_right(self._prepared, index) - 1, 0)
        moved = self._original[block] + index - self._prepared[block]
        return max(0, min(moved, self._size - 1))


def _blocks(prepared: str, text: str) -> tuple[list[int], list[int]]:
    """Return the first characters of the stretches that both texts share, in both."""
    own: list[int] = []
    other: list[int] = []
    i = j = 0
    joined = False
    while i < len(prepared) and j < len(text):
        a, b = prepared[i], text[j]
        if a == b:
            if not joined:
                own.append(i)
                other.append(j)
            i, j, joined = i + 1, j + 1, True
            continue
        joined = False
        if a.isspace() and b.isspace():
            i, j = i + 1, j + 1
        elif b.isspace():
            j += 1
        elif mark := END_OF_TEXT.match(text, j):
            j = mark.end()
        else:
            i += 1
    return own, other


class _PlacingParser(Parser):
    """The parser, which notes (line, column) of the start and the end of each bar, from 0."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.places: list[tuple[Place, Place]] = []
        self._open: dict[str, tuple[Place, Place]] = {}
        self._closed: set[str] = set()

    def read(self) -> Score:
        """Parse the body."""
        score = super().read()
        for bar in self.bars[len(self.places) :]:
            self.places.append(self._open[bar.voice])
        return score

    def _segment(self, text: str, line: BodyLine, start: int, closed: bool) -> None:
        name = self.voice.name
        here = (line.number - 1, start), (line.number - 1, start + len(text))
        self._begin(name, here)
        super()._segment(text, line, start, closed)
        if self.voice.name != name:  # `[V:2]` inside the bar
            self._begin(self.voice.name, here)

    def _begin(self, name: str, here: tuple[Place, Place]) -> None:
        is_new = name in self._closed or name not in self._open
        self._closed.discard(name)
        self._open[name] = here if is_new else (self._open[name][0], here[1])

    def _close(self, stroke: str, line: int, column: int) -> None:
        name = self.voice.name
        super()._close(stroke, line, column)
        self._closed.add(name)
        if len(self.bars) > len(self.places):
            self.places.append(self._open[name])
