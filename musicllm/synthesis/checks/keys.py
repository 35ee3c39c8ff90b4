"""Keys that a text in English or Chinese names: `B flat major`, `Bb major` and `降B大调` are one.

A lone letter is no key, nor is a key that is told in other words (the minor on the sixth degree).
An `A` that begins a sentence is an article where an ordinary word follows: a minor problem.
"""

from __future__ import annotations

import re

_MODES = {
    "major": "major", "maj": "major", "minor": "minor", "min": "minor", "ionian": "ionian",
    "dorian": "dorian", "phrygian": "phrygian", "lydian": "lydian", "mixolydian": "mixolydian",
    "aeolian": "aeolian", "locrian": "locrian",
    "自然大调": "major", "和声大调": "major", "大调": "major", "自然小调": "minor",
    "和声小调": "minor", "旋律小调": "minor", "小调": "minor", "多利亚": "dorian",
    "弗里吉亚": "phrygian", "弗里几亚": "phrygian", "混合利底亚": "mixolydian",
    "利底亚": "lydian", "爱奥利亚": "aeolian", "洛克里亚": "locrian",
    "洛克利亚": "locrian", "伊奥尼亚": "ionian", "爱奥尼亚": "ionian",
}  # fmt: skip
_WORDS = "|".join(mode for mode in _MODES if mode.isascii())
_SIGNS = "|".join(mode for mode in _MODES if not mode.isascii())
_ENGLISH = re.compile(
    rf"(?<![A-Za-z0-9#♯♭])([A-G])(?:(#|♯|♭|b)|[- ](sharp|flat))?[- ]?"
    rf"(?:(?:natural|harmonic|melodic)[- ])?((?i:{_WORDS}))(?![a-z])"
)
_CHINESE = re.compile(
    rf"(?:(升|降|[#♯♭])\s?([A-Ga-g])|(?<![A-Za-z0-9])(b)([A-G])|(?<![A-Za-z0-9])([A-Ga-g])"
    rf"\s?([#♯♭b升降])?)\s?的?({_SIGNS})"
)
_RAISED = {"#": "#", "♯": "#", "sharp": "#", "升": "#", "♭": "b", "b": "b", "flat": "b", "降": "b"}
_SENTENCE_START = re.compile(r"(?:^|[.!?:;\n]\s*|[\"“'(]\s*)$")
_MUSIC_FOLLOWS = re.compile(
    r"[- ]?(?:$|[^A-Za-z ]| *(?:key|scale|chord|triad|tonality|and|or|to|is|was|has|with|for)\b)"
)


def keys_in(text: str) -> frozenset[str]:
    """Return the keys of a text, such as `Bb major`. Cost: linear."""
    keys = set()
    for match in _ENGLISH.finditer(text):
        tonic, sign, word, mode = match.groups()
        if tonic == "A" and not (sign or word) and _is_article(text, match):
            continue
        keys.add(f"{tonic}{_RAISED.get(sign or word or '', '')} {_MODES[mode.lower()]}")
    for match in _CHINESE.finditer(text):
        *parts, mode = match.groups(default="")
        tonic = (parts[1] or parts[3] or parts[4]).upper()
        keys.add(f"{tonic}{_RAISED.get(parts[0] or parts[2] or parts[5], '')} {_MODES[mode]}")
    return frozenset(keys)


def changed_mode(source: str, result: str) -> str | None:
    """Return which mode only one of two texts of a language names; None if none is.

    Also outside of keys: a minor third, every major key.
    """
    before, after = (_modes_in(text) for text in (source, result))
    if different := sorted(before ^ after):
        where = "missing" if different[0] in before else "not in the source"
        return f"{different[0]} is {where}"
    return None


def _modes_in(text: str) -> frozenset[str]:
    english = re.findall(rf"(?<![A-Za-z])(?:{_WORDS})(?![A-Za-z])", text, re.IGNORECASE)
    chinese = re.findall(_SIGNS, text)
    return frozenset(_MODES[word.lower()] for word in (*english, *chinese))


def changed_key(source: str, result: str) -> str | None:
    """Return which key is only in one of two texts, in words; None if none is."""
    before, after = keys_in(source), keys_in(result)
    if lost := sorted(before - after):
        return f"the key {lost[0]} is missing"
    if new := sorted(after - before):
        return f"the key {new[0]} is not in the source"
    return None


def _is_article(text: str, match: re.Match[str]) -> bool:
    begins = _SENTENCE_START.search(text[max(match.start() - 20, 0) : match.start()])
    return bool(begins) and not _MUSIC_FOLLOWS.match(text, match.end())
