"""Sanitises untrusted tunes before they are passed to a rendering engine.

Removed, because engines act on it: directives (`%%...`, including `%%abc-include`, which makes
abc2midi read any file) and their blocks, whose prose engines would play, instructions
(`I:` lines and `[I:...]`), comments, and control, format and bidirectional characters. Kept: one
tune, from its `X:` line (numbered 1, and added when missing) to the first empty line, as ABC 2.1
section 2.2 delimits it.

Rejected, because engines crash, hang or run out of memory: more than `MAX_CHARACTERS`,
`MAX_LINES`, `MAX_LINE_CHARACTERS` or `MAX_VOICES`, a number above `MAX_NUMBER` outside text
fields, and more than `MAX_OCTAVE_MARKS` octave marks on a note.

The music itself is not checked here, but in `musicllm.music.abc`.
"""

from __future__ import annotations

import re
import unicodedata

from musicllm.errors import RenderError
from musicllm.music.abc.limits import AbcError
from musicllm.music.abc.prose import comment_out
from musicllm.music.abc.source import without_comment

MAX_CHARACTERS = 64_000
MAX_LINES = 2_000
MAX_LINE_CHARACTERS = 5_000
MAX_VOICES = 16
MAX_NUMBER = 9_999
MAX_OCTAVE_MARKS = 8

_INLINE_INSTRUCTION = re.compile(r"\[\s*I\s*:[^\]]*\]?")
_PERCENT_SIGNS = re.compile("%+")
_INSTRUCTION_LINE = re.compile(r"\s*I\s*:")
_CONTINUATION_LINE = re.compile(r"\s*\+:")
_TEXT_FIELD = re.compile(r"[A-DF-HNORSTWZrsw+]:")
_REFERENCE = re.compile(r"\s*X:")
_VOICE = re.compile(r"(?:^|\[)V:\s*([^\s\]]+)")
_LONG_NUMBER = re.compile(rf"\d{{{len(str(MAX_NUMBER)) + 1},}}")
_OCTAVES = re.compile(rf"[,']{{{MAX_OCTAVE_MARKS + 1},}}")


def sanitize(abc: str) -> str:
    """Return the sanitised first tune of a text; idempotent.

    Args:
        abc: ABC from any source, with any line endings.

    Raises:
        RenderError: it has no tune, or exceeds a limit of this module.
    """
    _limit("characters", len(abc), MAX_CHARACTERS)
    lines = _without_instructions(_one_tune(abc.splitlines()))
    if not lines:
        raise RenderError("there is no tune to render: the ABC is empty")
    _check(lines)
    return "\n".join(["X:1", *lines]) + "\n"


def _one_tune(lines: list[str]) -> list[str]:
    """Return the lines of the first tune, without its `X:` line."""
    lines = _without_prose([_plain(line).strip() for line in lines])
    references = [i for i, line in enumerate(lines) if _REFERENCE.match(line)]
    first = references[0] + 1 if references else next((i for i, s in enumerate(lines) if s), 0)
    for end in range(first, len(lines)):
        if not lines[end] or _REFERENCE.match(lines[end]):
            return lines[first:end]
    return lines[first:]


def _without_prose(lines: list[str]) -> list[str]:
    try:
        return comment_out("\n".join(lines)).split("\n")
    except AbcError as error:
        raise RenderError(error.reason) from None


def _plain(line: str) -> str:
    """Replace tabs by spaces and remove invisible characters."""
    spaced = line.replace("\t", " ")
    return "".join(c for c in spaced if not unicodedata.category(c).startswith("C"))


def _without_instructions(lines: list[str]) -> list[str]:
    """Remove comments, directives and instructions, including continuation lines."""
    result: list[str] = []
    dropped = False
    for line in lines:
        text = _strip_line(line)
        if _INSTRUCTION_LINE.match(text) or (dropped and _CONTINUATION_LINE.match(text)):
            dropped = True
            continue
        dropped = False
        if text:
            result.append(text)
    return result


def _strip_line(line: str) -> str:
    text = without_comment(line).rstrip("\\") if "%" in line else line
    while _INLINE_INSTRUCTION.search(text):  # removing one can join two halves of another
        text = _INLINE_INSTRUCTION.sub("", text)
    return _PERCENT_SIGNS.sub("%", text).strip()


def _check(lines: list[str]) -> None:
    """Reject what breaks engines."""
    _limit("lines", len(lines), MAX_LINES)
    _limit("characters in one line", max(map(len, lines)), MAX_LINE_CHARACTERS)
    music = [line for line in lines if not _TEXT_FIELD.match(line)]
    _limit("voices", len({v for line in music for v in _VOICE.findall(line)}), MAX_VOICES)
    if any(_LONG_NUMBER.search(line) for line in music):
        raise RenderError(f"the tune has a number above {MAX_NUMBER:,}: no engine can render it")
    if any(_OCTAVES.search(line) for line in music):
        raise RenderError(f"a note of the tune has more than {MAX_OCTAVE_MARKS} octave marks")


def _limit(what: str, count: int, limit: int) -> None:
    if count > limit:
        raise RenderError(f"the tune has {count:,} {what}; at most {limit:,} are rendered")
