"""What a prompt asks for, and the tune in an answer.

Reads text with patterns; whether the tune is any good is measured in `generation`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.music.abc.source import parse_metre

_TUNE = re.compile(r"(?:^|(?<=\s))X:\s*\d.*", re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_METRE = re.compile(r"M:\s*(C\|?|\d+/\d+)|(?<![\w/:^=])(?<!L:\s)(\d{1,2}/(?:2|4|8|16))(?![\w/])")
_KEY = re.compile(
    r"K:\s*([A-G][#b]?[A-Za-z]*)"
    r"|\b([A-G](?:[#b♯♭]|[ -]sharp|[ -]flat)?)[ -]"
    r"((?i:major|minor|dorian|mixolydian|phrygian|lydian|locrian))\b"
)


@dataclass(frozen=True)
class Asked:
    """What a prompt states about the tune that it asks for; None where it states nothing."""

    metre: str | None
    key: abc.Key | None


def find_tune(text: str) -> str:
    """Return the first tune in a text: from its `X:` to the next blank line; empty without one."""
    found = _TUNE.search(text)
    return _BLANK_LINE.split(abc.unfold(found.group()))[0] if found else ""


def asked(prompt: str) -> Asked:
    """Return the metre and key that a prompt states, as ABC fields or in words (`D minor`, `6/8`).

    The first of each counts. What cannot be read as a metre or key counts as not stated.
    """
    metre, key = _METRE.search(prompt), _KEY.search(prompt)
    return Asked(_metre(metre[1] or metre[2]) if metre else None, _key(key) if key else None)


def _metre(text: str) -> str | None:
    try:
        return parse_metre(text)[1]
    except InputError:
        return None


def _key(found: re.Match[str]) -> abc.Key | None:
    tonic = re.sub("[ -]sharp|♯", "#", re.sub("[ -]flat|♭", "b", found[2] or ""))
    try:
        return abc.parse_key(found[1] or f"{tonic} {found[3].lower()}")
    except InputError:
        return None
