"""The pieces of a line of music: bars and bar lines, then the tokens inside a bar.

The patterns never fail: what no rule knows becomes a token of one character, and the parser says
what is wrong with it. Each kind of piece starts with its own characters, so that they hardly ever
backtrack. No state of the tune is kept here. Follows ABC 2.1, section 4.
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
"""One bar's content (group 1) and the bar line behind it (group 2; empty at the line's end).

Where the content ends, a bar line or the end always follows, so nothing is tried twice. (A
possessive group would say so, but before 3.11.5 Python's `re` misreads those: gh-106052.)"""

TOKEN = re.compile(
    rf"\s*({_HEAD}{_LENGTH}(?:\s*-)?|[<>]+|{_QUOTED}|\([0-9]+(?::[0-9]*){{0,2}}|{_FIELD}"
    rf"|\[[^\]]*\]{_LENGTH}(?:\s*-)?|\{{[^}}]*\}}|{_MARK}|\+[^+\s]*\+|[ZX][0-9]*|y[0-9]*|\S)"
)
"""One token; the white space before it is left out."""

SPACED_TOKEN = re.compile(rf"(\s*){TOKEN.pattern[3:]}")
"""As `TOKEN`, with the white space before it as group 1."""

NOTE = re.compile(r"([\^_=]*)([A-Ga-gzx])([,']*)([0-9/]*)\s*(-?)")
CHORD = re.compile(
    rf"\[((?:{_HEAD}{_LENGTH}(?:\s*-)?|{_QUOTED}|{_MARK}|[.~H-Wh-w()\s])*)\]([0-9/]*)\s*(-?)"
)
GRACE = re.compile(
    rf"\{{/?((?:{_HEAD}{_LENGTH}(?:\s*-)?|{_QUOTED}|[<>()\[\]\s.~H-Wh-w]|\([0-9])*)\}}"
)
LENGTH = re.compile(r"([0-9]*)(/*)([0-9]*)")
RESERVED = frozenset("#*;?@")
"""Characters that ABC 2.1 keeps for later and has ignored until then (section 8.1)."""
IGNORED = RESERVED | frozenset("()`\\$!.~+yHIJKLMNOPQRSTUVWhijklmnopqrstuvw")
"""First characters of tokens that change neither pitch nor duration (`(3` does)."""


@dataclass(frozen=True)
class BarLine:
    """What a bar line says.

    Attributes:
        closes_repeat: has a colon before it.
        opens_repeat: has a colon behind it.
        section: a repeat, a double or thick bar, or the start of an ending.
        ending: number or numbers of the ending that starts here.
        final: thick, as at the end of a tune.
    """

    closes_repeat: bool
    opens_repeat: bool
    section: bool
    ending: str
    final: bool

    def joined(self, other: BarLine) -> BarLine:
        """Return this bar line and one that follows with nothing between as one."""
        return BarLine(
            self.closes_repeat or other.closes_repeat,
            self.opens_repeat or other.opens_repeat,
            self.section or other.section,
            other.ending or self.ending,
            self.final or other.final,
        )


@lru_cache(maxsize=1024)
def read_bar_line(token: str, max_ending: int) -> BarLine:
    """Read a bar line that `SEGMENT` found, with at most this ending.

    Raises:
        AbcError: too many repeat marks, or an ending with an absurd number.
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
