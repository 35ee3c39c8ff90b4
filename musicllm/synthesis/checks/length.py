"""Whether a translated or rewritten text is about as long as its source."""

from __future__ import annotations

import re

_HAN = re.compile(r"[㐀-䶿一-鿿]")
_LATIN_PER_HAN = 3.0
"""Letters of English whose meaning one Chinese character has, about."""


def changed_length(source: str, result: str, max_ratio: float) -> str | None:
    """Return that a text is much longer or shorter than another, in words; None if it is not.

    Args:
        source: in English or Chinese.
        result: likewise, in the same language or the other.
        max_ratio: largest ratio of their lengths, either way, where a Chinese character counts as
            three letters; a few letters more or less are always allowed.
    """
    before, after = _length(source), _length(result)
    allowed = 20.0
    if after > max_ratio * before + allowed:
        return f"about {after / max(before, 1):.1f} times the length of the source"
    if before > max_ratio * after + allowed:
        return f"about {after / before:.2f} times the length of the source"
    return None


def _length(text: str) -> float:
    num_han = len(_HAN.findall(text))
    return len("".join(text.split())) - num_han + _LATIN_PER_HAN * num_han
