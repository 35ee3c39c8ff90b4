"""Prose among the lines of a tune: blocks for other programs, and old histories.

`%%begintext` ... `%%endtext`, `%%beginps` and similar blocks hold text or typesetting code, which
ABC parsers skip (ABC 2.1, section 11.4). Before ABC 2.0 a history could continue over lines
of its own (section 3.1.11). Both are commented out here, so that their letters are not parsed as
notes and every line keeps its number.
"""

from __future__ import annotations

import re

from musicllm.music.abc.limits import AbcError

BLOCK_START = re.compile(r"%%[ \t]*begin([a-z]+)")
"""Start of a block; group 1 is its name, which the end repeats."""

_HISTORY = re.compile(r"^H:.*\n(?!$|[A-Za-z+]:|%)", re.MULTILINE)
_FIELD_OR_COMMENT = re.compile(r"[A-Za-z+]:|%|\s*\Z")


def ends_block(line: str, name: str) -> bool:
    """Return whether a line ends the block of this name."""
    return line.startswith("%%") and line[2:].lstrip().startswith(f"end{name}")


def comment_out(text: str) -> str:
    """Return a tune with its prose commented out; idempotent. Cost: linear.

    Raises:
        AbcError: a block has no end.
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
