"""Prose that stands among the lines of a tune: blocks for other programs, and old histories.

`%%begintext` ... `%%endtext`, `%%beginps` and their like hold text or code of a typesetter, of
which ABC's readers see nothing (ABC 2.1, section 11.4). Before ABC 2.0 a history ran on over lines
of its own (section 3.1.11). Both are put behind a `%` here, so that nobody takes their letters for
notes and every line keeps its number.
"""

from __future__ import annotations

import re

from musicllm.music.abc.limits import AbcError

BLOCK_START = re.compile(r"%%[ \t]*begin([a-z]+)")
"""How a block starts; group 1 is its name, which its end repeats."""

_HISTORY = re.compile(r"^H:.*\n(?!$|[A-Za-z+]:|%)", re.MULTILINE)
_FIELD_OR_COMMENT = re.compile(r"[A-Za-z+]:|%|\s*\Z")


def ends_block(line: str, name: str) -> bool:
    """Say whether a line ends the block of this name."""
    return line.startswith("%%") and line[2:].lstrip().startswith(f"end{name}")


def comment_out(text: str) -> str:
    """Return a tune with its prose as comments; doing it again changes nothing. Cost: linear.

    Raises:
        AbcError: a block is never ended.
    """
    if "%%" in text and "begin" in text:
        text = _blocks(text)
    if "H:" in text and _HISTORY.search(text):
        text = _histories(text)
    return text


def _blocks(text: str) -> str:
    lines = text.split("\n")
    name, start = "", 0
    for index, line in enumerate(lines):
        begin = None if name else BLOCK_START.match(line)
        if begin:
            name, start = begin[1], index
        if name:
            lines[index] = f"%{line}"
            if ends_block(line, name):
                name = ""
    if name:
        raise AbcError(f'"%%begin{name}" is never ended by "%%end{name}"', start + 1)
    return "\n".join(lines)


def _histories(text: str) -> str:
    lines = text.split("\n")
    in_history = False
    for index, line in enumerate(lines):
        if _FIELD_OR_COMMENT.match(line):
            if line.startswith("K:"):
                break
            in_history = line.startswith("H:") or (in_history and line.startswith("%"))
        elif in_history:
            lines[index] = f"%{line}"
    return "\n".join(lines)
