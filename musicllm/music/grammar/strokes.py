"""The bar lines that the grammar accepts, and which of them may stand where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.music.abc.tokens import BarLine, read_bar_line
from musicllm.music.grammar.trie import build

_STROKES = ("|", "||", "|]", "[|", "|:", "[|:", "||:", ":|", ":||", ":|]", "::", ":|:", ":||:")
_BEFORE_ENDING = ("|", "||", ":|", ":||", ":|]", "[")
_ENDINGS = ("1", "2", "3", "4", "5", "6", "1,2", "1,3", "2,3", "2,4", "3,4", "1-2", "1-3", "1,2,3")
MAX_ENDING = 6


class Stroke(NamedTuple):
    """A bar line.

    Attributes:
        text: as written.
        line: as the parser reads it.
        starts: first number of the ending that it starts; 0 if it starts none.
        stops: last number of it.
    """

    text: str
    line: BarLine
    starts: int
    stops: int


def _strokes() -> Iterator[Stroke]:
    for text in _STROKES:
        yield Stroke(text, read_bar_line(text, DEFAULT_LIMITS.max_ending), 0, 0)
    for before in _BEFORE_ENDING:
        for ending in _ENDINGS:
            text = before + ending
            line = read_bar_line(text, DEFAULT_LIMITS.max_ending)
            yield Stroke(text, line, int(ending[0]), int(ending[-1]))


STROKES = tuple(_strokes())
WORDS = build((stroke.text, stroke) for stroke in STROKES)


def _mask(accepts: Callable[[Stroke], bool]) -> int:
    return sum(1 << index for index, stroke in enumerate(STROKES) if accepts(stroke))


def _starting(number: int) -> int:
    return _mask(lambda stroke: stroke.starts == number)


SECTION = _mask(lambda stroke: stroke.line.section)
"""Those that end a section."""
ENDS = tuple(_starting(number) for number in range(MAX_ENDING + 1))
"""Those that start ending n; at 0, those that start none."""
WITH_ENDING = _mask(lambda stroke: stroke.starts > 0)


def named(*texts: str) -> int:
    """Return the mask of the bar lines with these texts."""
    return _mask(lambda stroke: stroke.text in texts)


PLAIN = named("|")
OPENING = _mask(lambda stroke: stroke.line.opens_repeat or stroke.starts > 0)
"""Those after which music has to follow."""
NEW_REPEAT = _mask(lambda stroke: stroke.line.opens_repeat and not stroke.line.closes_repeat)
"""Those that only open a repeat."""
USUAL = _mask(lambda stroke: stroke.text.rstrip("123456,-") in ("|", "||", "|]", "|:", ":|"))
"""Those that people write most: single, double and final, repeats, and endings behind one."""
CLOSING = _mask(lambda stroke: stroke.line.closes_repeat)
"""Those that close a repeat."""
AT_START = _mask(lambda stroke: stroke.text in ("|", "||", "[|", "|:", "[|:", "||:"))
"""Before the first note."""
AFTER_BAR = _mask(
    lambda stroke: (
        stroke.text in ("||", "|]", "[|", "|:", "[|:", "||:")
        or (stroke.starts > 0 and not stroke.line.closes_repeat)
    )
)
"""After another bar line."""
