"""Tokenises a line of music: into bars and bar lines, then into the tokens of a bar.

The patterns never fail: any other character becomes a token of its own, and the parser reports
the error. Each kind of token starts with its own characters, so that the patterns hardly ever
backtrack. Follows ABC 2.1, section 4.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from musicllm.music.abc.limits import AbcError, shorten

_QUOTED = r'"[^"]*"'
_MARK = r'![^!\s|"]*!'
_FIELD = r"\[[A-Za-z]:[^\]]*\]"
_TUPLET = r"\([0-9]+::?[0-9]+(?::[0-9]+)?"
_LENGTH = r"[0-9/]*"
_HEAD = r"[\^_=]{0,3}[A-Ga-gzx][,']*"
_BAR = r"(?:(?:\[\||\||:[:|])[|:\]]*(?:\[?[1-9][0-9,\-]*)?|\[[1-9][0-9,\-]*)"

SEGMENT = re.compile(
    rf'((?:[^|:\["!(]++|{_QUOTED}|{_FIELD}|{_MARK}|{_TUPLET}|["!(]|:(?![:|])|\[(?![1-9|]))*)({_BAR}|$)'
)
"""One bar's content (group 1) and the bar line after it (group 2; empty at the line's end).

The content is always followed by a bar line or the end, so nothing is matched twice. (A
possessive group would express this, but has a bug in Python before 3.11.5: gh-106052.)"""

TOKEN = re.compile(
    rf"\s*({_HEAD}{_LENGTH}(?:\s*-)?|[<>]+|{_QUOTED}|\([0-9]+(?::[0-9]*){{0,2}}|{_FIELD}"
    rf"|\[[^\]]*\]{_LENGTH}(?:\s*-)?|\{{[^}}]*\}}|{_MARK}|\+[^+\s]*\+|[ZX][0-9]*|y[0-9]*|\S)"
)
"""One token, without the white space before it."""

SPACED_TOKEN = re.compile(rf"(\s*){TOKEN.pattern[3:]}")
"""Like `TOKEN`, with the white space before it as group 1."""

NOTE = re.compile(r"([\^_=]*)([A-Ga-gzx])([,']*)([0-9/]*)\s*(-?)")
CHORD = re.compile(
    rf"\[((?:{_HEAD}{_LENGTH}(?:\s*-)?|{_QUOTED}|{_MARK}|[.~H-Wh-w()\s])*)\]([0-9/]*)\s*(-?)"
)
GRACE = re.compile(
    rf"\{{/?((?:{_HEAD}{_LENGTH}(?:\s*-)?|{_QUOTED}|[<>()\[\]\s.~H-Wh-w]|\([0-9])*)\}}"
)
LENGTH = re.compile(r"([0-9]*)(/*)([0-9]*)")
RESERVED = frozenset("#*;?@")
"""Characters that ABC 2.1 reserves; programs must ignore them (section 8.1)."""
IGNORED = RESERVED | frozenset("()`\\$!.~+yHIJKLMNOPQRSTUVWhijklmnopqrstuvw")
"""First characters of tokens that change neither pitch nor duration (`(3` does)."""


@dataclass(frozen=True)
class BarLine:
    """A bar line.

    Attributes:
        closes_repeat: it starts with a colon.
        opens_repeat: it ends with a colon.
        section: a repeat, a double or thick bar, or the start of an ending.
        ending: number or numbers of the ending that starts here.
        final: a thick bar, as at the end of a tune.
    """

    closes_repeat: bool
    opens_repeat: bool
    section: bool
    ending: str
    final: bool

    def joined(self, other: BarLine) -> BarLine:
        """Return this bar line merged with the one that follows immediately."""
        return BarLine(
            self.closes_repeat or other.closes_repeat,
            self.opens_repeat or other.opens_repeat,
            self.section or other.section,
            other.ending or self.ending,
            self.final or other.final,
        )


@lru_cache(maxsize=1024)
def read_bar_line(token: str, max_ending: int) -> BarLine:
    """Parse a bar line that `SEGMENT` matched.

    Raises:
        AbcError: too many repeat marks, or an ending above `max_ending`.
    """
    strokes = token.rstrip("0123456789,-")
    ending = token[len(strokes) :].strip(",-")
    strokes = strokes.removesuffix("[") if ending else strokes
    if strokes.count(":") > 4 or len(strokes) > 8:
        raise AbcError(f'bar line "{shorten(token)}" has too many marks')
    if any(len(n) > 3 or int(n) > max_ending for n in re.findall(r"[0-9]+", ending)):
        raise AbcError(f'ending "{shorten(ending)}" is above {max_ending}')
    colons = strokes.replace("]", "").replace("[", "")
    double = "::" in colons and "|" not in colons
    closes = colons.startswith(":")
    opens = double or (colons.endswith(":") and colons != ":")
    final = "]" in strokes
    section = closes or opens or final or "||" in strokes or "[|" in strokes or bool(ending)
    return BarLine(closes, opens, section, ending, final)


def bare_chord(text: str) -> str:
    """Return the inside of a chord without quoted text and `!marks!`."""
    if '"' in text:
        text = "".join(text.split('"')[::2])
    return "".join(text.split("!")[::2]) if "!" in text else text
