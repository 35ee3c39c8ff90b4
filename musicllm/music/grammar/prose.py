"""Text outside tunes. Everything may be written but what would be read as a tune and is none.

A tune starts at `X:` and a digit (blanks between them allowed) at the start of a text or after
white space, where both `abc.find_tunes` and `evals.requests.find_tune` see it. Refused are: that
digit where only one of them would see a tune (after a quotation mark or a bracket, with a blank
before the colon, with a line feed after it); and `|` once a text has both a key and a metre or a
unit length as fields (`K:G`, `M:3/4`), since with bar lines these would be a tune without a number.
"""

from __future__ import annotations

from musicllm.music.grammar.cursor import Cursor
from musicllm.music.grammar.header import number

_OPENERS = frozenset("\"'`(>*“”]")
_READY = ("X:", "X: ")
_BARRED = ("x:", "x: ")
_VALUES = {"K": frozenset("nHABCDEFG"), "M": frozenset("Cn0123456789"), "L": frozenset("1")}
_FLAGS = {"K": "K", "M": "M", "L": "M"}


def enter(c: Cursor) -> None:
    """Start a text, or go on after the blank line that ends a tune."""
    c.step, c.word, c.field, c.seen, c.form = prose, " ", "", "", None


def prose(c: Cursor, char: str) -> bool:
    """Read a character outside tunes.

    `word` says what came before: white space (` `), an opening mark (`(`), `X` or `X:` where a tune
    may start, `x` or `x:` where it may not, each with a blank if white space followed; `seen` has
    `K` for a key and `M` for a metre or unit length; `field` is the one of these in progress.
    """
    word = c.word
    if char.isdecimal() and (word in _READY or word in _BARRED):
        return word in _READY and char.isascii() and _start(c)
    if char == "|" and len(c.seen) == 2:
        return False
    if char in "KML" or c.field:
        _watch(c, char)
    if char == "X":
        c.word = "X" if word.endswith(" ") else "x" if word.endswith(("(", ":")) else ""
    elif char in ":：":
        ready = word == "X" and char == ":"
        c.word = "X:" if ready else "x:" if word in ("X", "x", "x ") else "("
    elif char.isspace():
        c.word = _space(word, char)
    elif char in _OPENERS or (char == "n" and word == "\\"):
        c.word = "("
    else:
        c.word = "\\" if char == "\\" else ""
    return True


def _space(word: str, char: str) -> str:
    is_blank = char in " \t"
    if word in _READY:
        return "X: " if is_blank else "x: "
    if word in _BARRED:
        return "x: "
    return "x " if word in ("X", "x") and is_blank else " "


def _watch(c: Cursor, char: str) -> None:
    """Note a readable key, metre or unit length."""
    field = c.field
    if field.endswith(":") and char in _VALUES[field[0]]:
        flag = _FLAGS[field[0]]
        c.seen += "" if flag in c.seen else flag
        c.field = ""
    elif field and char in ":：" and not field.endswith(":"):
        c.field = field[0] + ":"
    elif field and char in " \t" and len(field) == 1:
        c.field = field + " "
    elif not (field.endswith(":") and char in " \t"):
        c.field = char if char in "KML" else ""


def _start(c: Cursor) -> bool:
    c.step, c.word, c.field, c.num_fields = number, "", "", 0
    return True
