"""What stands in a translation as it stands in the source: chord symbols, names with digits.

Single letters are not compared: `A` is an article, a note, a key and a chord. Those in lists of
chords are kept by `music.masks`.
"""

from __future__ import annotations

import re

from musicllm.music.masks import is_chord_name

_TOKEN = re.compile(r"(?<![A-Za-z0-9#♯♭])[A-Za-z0-9][A-Za-z0-9#♯♭/+]*(?<![/+])")
_ORDINAL = re.compile(r"[0-9]+(?:st|nd|rd|th|s)")
_FORM = re.compile(r"[A-H]{2,}")


def literals_in(text: str) -> frozenset[str]:
    """Return the chord symbols, letters of forms (`AABB`), and words of letters and digits.

    Ordinal numbers such as `18th` are not among them. Cost: linear.
    """
    found = set()
    for match in _TOKEN.finditer(text):
        token = match[0]
        is_mixed = not token.isdigit() and bool(re.search(r"[A-Za-z]", token))
        is_mixed = is_mixed and bool(re.search(r"[0-9]", token)) and not _ORDINAL.fullmatch(token)
        if is_mixed or is_chord_name(token) or _FORM.fullmatch(token):
            found.add(token.replace("♯", "#").replace("♭", "b"))
    return frozenset(found)


def changed_literal(source: str, result: str) -> str | None:
    """Return which of them is only in one of two texts, in words; None if none is."""
    before, after = literals_in(source), literals_in(result)
    if lost := sorted(before - after):
        return f"{lost[0]} is missing"
    if new := sorted(after - before):
        return f"{new[0]} is not in the source"
    return None
