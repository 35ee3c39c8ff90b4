"""Parses `P:` fields: names of sections in the body, their order in the header.

As in ABC 2.1 (section 3.1.9): `P:A` in the body begins section A; `P:A2B2` or `P:((AB)3.C)2` in
the header is the order in which sections are played. Names are single letters, also for variants
(`A'`, `A2`, `B alt`), and words such as `Verse`. A number, or `Variation 2`, begins a section that
without a name; other texts (`D.S.`, `Modern version`) do not mark sections.
"""

from __future__ import annotations

import re

_LETTER = re.compile(
    r"(?:part\s+)?([a-z])(?:\s?(?:['’′]+|[0-9]{1,2}|alt\b.*|var\b.*|\(.*\)))?", re.I
)
_WORD = re.compile(r"(verse|chorus|chos|refrain|bridge|intro|interlude|trio|coda)\b[\s.0-9]*", re.I)
_UNNAMED = re.compile(r"[0-9]{1,2}\.?|(?:theme|var(?:iation)?s?)\b[\s.0-9ivx]*", re.I)
_ORDER = re.compile(r"[A-Za-z]|[0-9]+|[()]|[\s.*+]+|.")
_MAX_PLAYED = 100
"""Maximum number of sections in an order."""


def part_name(mark: str) -> str | None:
    """Return the name of the section that a mark begins; empty for one without a name.

    None if the text marks no section.
    """
    text = mark.strip()
    if match := _LETTER.fullmatch(text):
        return match[1].upper()
    if match := _WORD.fullmatch(text):
        return {"chos": "chorus"}.get(match[1].lower(), match[1].lower())
    return "" if _UNNAMED.fullmatch(text) else None


def play_order(text: str) -> str | None:
    """Return the order of the header's `P:` as letters, such as `AAABAAAB` for `(A3B)2`.

    None for text that is not an order, or has more than 100 sections.
    """
    stack = [""]
    last = ""
    for token in _ORDER.findall(text):
        if token == "(":
            stack.append("")
            last = ""
        elif token == ")" and len(stack) > 1:
            last = stack.pop()
            stack[-1] += last
        elif token.isalpha():
            last = token.upper()
            stack[-1] += last
        elif token.isdecimal() and last and len(token) < 3:
            stack[-1] += last * (int(token) - 1)
            last = ""
        elif token.strip(" .*+\t"):
            return None
        if len(stack[-1]) > _MAX_PLAYED or len(stack) > _MAX_PLAYED:
            return None
    return stack[0] if len(stack) == 1 and stack[0] else None
