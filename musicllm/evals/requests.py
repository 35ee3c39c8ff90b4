"""What a request asks for, and the tune in an answer.

Reads text with patterns; whether the tune is any good is measured in `generation`, where requests
are also made from held-out tunes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from musicllm.data.records import Message, question_of
from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.music.abc.source import parse_metre

_TUNE = re.compile(r"(?:^|(?<=\s))X:\s*\d.*", re.DOTALL)
_BLANK_LINE = re.compile(r"\n[ \t]*\n")
_METRE = re.compile(
    r"M:\s*(C\|?|\d+/\d+)"
    r"|(?<![A-Za-z0-9_/:^=,'\]])(?<!L:\s)(\d{1,2}/(?:2|4|8|16))(?![A-Za-z0-9_/])"
)
"""A metre as a field, or as a fraction that is no note length."""
_KEY = re.compile(
    r"K:\s*([A-G][#b]?[A-Za-z]*)"
    r"|(?<![A-Za-z0-9_])([A-G](?:[#b♯♭]|[ -]sharp|[ -]flat)?)[ -]"
    r"((?i:major|minor|dorian|mixolydian|phrygian|lydian|locrian))(?![A-Za-z])"
    r"|([升降]?)\s?([A-G][#b♯♭]?)\s?(大调|小调|多利亚|混合利底亚|弗里吉亚|利底亚|洛克里亚)"
)
_CHINESE_MODES = {
    "大调": "major",
    "小调": "minor",
    "多利亚": "dorian",
    "混合利底亚": "mixolydian",
    "弗里吉亚": "phrygian",
    "利底亚": "lydian",
    "洛克里亚": "locrian",
}


@dataclass(frozen=True)
class StatedTraits:
    """What a prompt states about the tune that it asks for; None where it states nothing."""

    metre: str | None
    key: abc.Key | None


@dataclass(frozen=True)
class Request:
    """A request for a tune.

    Attributes:
        prompt: the user's message.
        family: kind of request, such as `chords`; empty when unknown.
        conditions: what the answer must keep to, by the names of `data.instructions.conditions`
            (`key`, `metre`, `rhythm`, `header`, `chords`, `motif`, `form`, `terms`, `opening`); a
            key and a metre that only the prompt states count too.
        reference: the answer that a person's tune gives; empty without one.
        system: the system prompt before it; empty without one.
    """

    prompt: str
    family: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)
    reference: str = ""
    system: str = ""

    @property
    def messages(self) -> list[Message]:
        """What the model is shown."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": self.prompt}]

    @property
    def stated(self) -> StatedTraits:
        """The metre and key that the answer must have."""
        traits = stated_traits(self.prompt)
        metre, key = self.conditions.get("metre"), self.conditions.get("key")
        return StatedTraits(metre or traits.metre, stated_traits(key).key if key else traits.key)


def find_tune(text: str) -> str:
    """Return the first tune in a text: from its `X:` to the next blank line; empty without one."""
    match = _TUNE.search(text)
    return _BLANK_LINE.split(abc.unfold(match.group()))[0] if match else ""


def asks_for_tune(record: Mapping[str, Any]) -> bool:
    """Say whether a record is one request that is answered with a tune."""
    messages = record.get("messages", [])
    num_asking = len(question_of(record)) if messages else 0
    return len(messages) == num_asking + 1 and bool(find_tune(messages[-1]["content"]))


def stated_traits(prompt: str) -> StatedTraits:
    """Return the metre and key that a prompt states, as ABC fields or in words (`D minor`, `6/8`).

    Words in English and in Chinese (`降B 大调`, `6/8 拍`) are understood. The first of each counts.
    What cannot be read as a metre or key counts as not stated.
    """
    metre, key = _METRE.search(prompt), _KEY.search(prompt)
    return StatedTraits(_metre(metre[1] or metre[2]) if metre else None, _key(key) if key else None)


def _metre(text: str) -> str | None:
    try:
        return parse_metre(text)[1]
    except InputError:
        return None


def _key(match: re.Match[str]) -> abc.Key | None:
    field, tonic, mode, accidental, chinese_tonic, chinese_mode = match.groups()
    if chinese_mode:
        sign = {"升": "#", "降": "b", "": ""}[accidental]
        tonic, mode = chinese_tonic + sign, _CHINESE_MODES[chinese_mode]
    tonic = re.sub("[ -]sharp|♯", "#", re.sub("[ -]flat|♭", "b", tonic or ""))
    try:
        return abc.parse_key(field or f"{tonic} {mode.lower()}")
    except InputError:
        return None
