"""Numbers of a text in English or Chinese, in digits and in words, as values that can be compared.

`1,850`, `1850` and `一千八百五十` are one value, `3 million` and `300万` another, `6/8` and
`八分之六` a third; an eighth note is `1/8`. Digits that belong to a name (`G7`, `BWV1007`) are
left to `literals`. Not read: Roman numerals, and words such as `twice`.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from typing import NamedTuple

_SCALES = {
    "thousand": 10**3, "million": 10**6, "billion": 10**9,
    "千": 10**3, "万": 10**4, "萬": 10**4, "百万": 10**6, "千万": 10**7, "亿": 10**8, "億": 10**8,
}  # fmt: skip
_DIGITS = re.compile(
    r"(?<![A-Za-z\d/])(?<!\d[.,])(?:(?P<top>\d+)\s?/\s?(?P<bottom>\d+)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"(?:[ ]?(?P<scale>thousand|million|billion|百万|千万|[千万萬亿億]))?)"
    r"(?!\d)(?=(?:st|nd|rd|th|s)?(?![A-Za-z]))"
)
_DENOMINATOR = re.compile(r"(\d+)分(?:音符|休止符)")
_SMALL = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen
"""
_ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_SMALL.split())}
_TENS = {word: 10 * value for value, word in enumerate(_ROUND.split(), 2)}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12,
    **{f"{word}th": value for word, value in _UNITS.items() if value not in (1, 2, 3, 5, 8, 9, 12)},
    **{f"{word[:-1]}ieth": value for word, value in _TENS.items()},
}  # fmt: skip
_HUNDREDS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_ENGLISH = {**_UNITS, **_TENS, **_ORDINALS, **_HUNDREDS}
_ENGLISH_RUN = re.compile(
    rf"\b(?:{'|'.join(_ENGLISH)})(?:[- ](?:and )?(?:{'|'.join(_ENGLISH)}))*\b", re.IGNORECASE
)
_ENGLISH_NOTES = {"half": 2, "quarter": 4, "eighth": 8, "sixteenth": 16, "thirty-second": 32}
_ENGLISH_NOTE = re.compile(rf"\b({'|'.join(_ENGLISH_NOTES)})[- ](?:note|rest)s?\b", re.IGNORECASE)
_CHINESE_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")}
_CHINESE_DIGITS |= {"〇": 0, "两": 2}
_CHINESE_SCALES = {
    "十": 10, "百": 100, "千": 1000, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8,
}  # fmt: skip
_NUMERAL = "[零〇一二两三四五六七八九十百千万萬亿億]+"
_CHINESE_FRACTION = re.compile(rf"({_NUMERAL})分之({_NUMERAL})")
_CHINESE_NOTE = re.compile(rf"({_NUMERAL})分(?:音符|休止符)")
_CHINESE_RUN = re.compile(_NUMERAL)


class Numbers(NamedTuple):
    """Values of the numbers in a text, such as `1850`, `0.5` or `6/8`.

    Attributes:
        digits: of those that are written in digits.
        words: of those that are written in words, or that words may mean.
    """

    digits: frozenset[str]
    words: frozenset[str]


def numbers_in(text: str) -> Numbers:
    """Return the numbers of a text in English or Chinese. Cost: linear."""
    text = unicodedata.normalize("NFKC", text.replace("⁄", "/"))
    digits = frozenset(_value(match) for match in _DIGITS.finditer(text))
    words = {f"1/{match[1]}" for match in _DENOMINATOR.finditer(text)}
    words |= _english(text) | _chinese(text)
    return Numbers(digits, frozenset(words))


def changed_number(source: str, result: str) -> str | None:
    """Return which number in digits is only in one of two texts, in words; None if none is.

    A number in digits may become one in words, and the reverse. How often it stands is not
    compared.
    """
    before, after = numbers_in(source), numbers_in(result)
    if lost := sorted(before.digits - after.digits - after.words):
        return f"{lost[0]} is missing"
    if new := sorted(after.digits - before.digits - before.words):
        return f"{new[0]} is not in the source"
    return None


def _value(match: re.Match[str]) -> str:
    if match["top"]:
        return f"{int(match['top'])}/{int(match['bottom'])}"
    number = Decimal(match["number"].replace(",", "")) * _SCALES.get(match["scale"] or "", 1)
    return f"{number.normalize():f}"


def _english(text: str) -> set[str]:
    values = {f"1/{_ENGLISH_NOTES[match[1].lower()]}" for match in _ENGLISH_NOTE.finditer(text)}
    for match in _ENGLISH_RUN.finditer(text):
        words = re.split(r"[- ]", match[0].lower().replace(" and ", " "))
        values.update(str(_ENGLISH[word]) for word in words)
        values.add(str(_english_sum(words)))
    return values


def _english_sum(words: list[str]) -> int:
    total = current = 0
    for word in words:
        value = _ENGLISH[word]
        if value < 100:
            current += value
        elif value == 100:
            current = max(current, 1) * value
        else:
            total, current = total + max(current, 1) * value, 0
    return total + current


def _chinese(text: str) -> set[str]:
    values = {f"1/{_chinese_value(match[1])}" for match in _CHINESE_NOTE.finditer(text)}
    for match in _CHINESE_FRACTION.finditer(text):
        values.add(f"{_chinese_value(match[2])}/{_chinese_value(match[1])}")
    values.update(str(_chinese_value(match[0])) for match in _CHINESE_RUN.finditer(text))
    return values


def _chinese_value(numeral: str) -> int:
    """Return the value of `十八`, `一千六百八十五`, or figure by figure, `一六八五`."""
    if not any(char in _CHINESE_SCALES for char in numeral):
        return int("".join(str(_CHINESE_DIGITS[char]) for char in numeral))
    total = section = digit = 0
    for char in numeral:
        scale = _CHINESE_SCALES.get(char)
        if scale is None:
            digit = _CHINESE_DIGITS[char]
        elif scale >= 10**4:
            total, section, digit = (total + section + digit or 1) * scale, 0, 0
        else:
            section, digit = section + (digit or 1) * scale, 0
    return total + section + digit
