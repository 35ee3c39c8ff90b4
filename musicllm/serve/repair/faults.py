"""What is wrong with an answer that should be a tune, each fault in words of two languages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm

from musicllm.data.instructions import key_in_words
from musicllm.errors import InputError
from musicllm.evals.requests import Request
from musicllm.music import abc
from musicllm.serve.answers import CheckedTune

SMALLEST = 8
"""Lengths are written in eighths, or in smaller values where they need it."""

_CHINESE = re.compile("[\u4e00-\u9fff]")

WORDS: Mapping[str, Mapping[str, str]] = {
    "no_tune": {
        "en": "there is no tune in ABC notation",
        "zh": "没有 ABC 记谱的乐曲",
    },
    "parse": {
        "en": "the tune cannot be read as ABC: {reason}",
        "zh": "乐曲不是有效的 ABC 记谱：{reason}",
    },
    "bar": {
        "en": "bar {bar} lasts {actual} instead of {expected}",
        "zh": "第 {bar} 小节时值为 {actual}，应为 {expected}",
    },
    "cut": {
        "en": "it is cut off before its end",
        "zh": "没有写完",
    },
    "grammar": {
        "en": "it breaks a rule of the tune: {reason}",
        "zh": "不符合乐曲的规则：{reason}",
    },
    "metre": {
        "en": "the metre is {actual} instead of {expected}",
        "zh": "拍号为 {actual}，应为 {expected}",
    },
    "key": {
        "en": "the key is {actual} instead of {expected}",
        "zh": "调为 {actual}，应为 {expected}",
    },
    "condition": {
        "en": "the {name} is not the one of the request: {expected}",
        "zh": "{name} 与要求不符：{expected}",
    },
}


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with an answer.

    Attributes:
        kind: a key of `WORDS`.
        values: what its words name.
        tune: number of the tune from 1 on; 0 for the whole answer or its only tune.
    """

    kind: str
    values: Mapping[str, str] = field(default_factory=dict)
    tune: int = 0

    def text(self, language: str = "en") -> str:
        """Return the fault in words.

        Args:
            language: `en` or `zh`.
        """
        place = {"en": f"tune {self.tune}: ", "zh": f"第 {self.tune} 首："}[language]
        return (place if self.tune else "") + WORDS[self.kind][language].format(**self.values)


def language_of(text: str) -> str:
    """Return `zh` for a text with a Chinese character, else `en`."""
    return "zh" if _CHINESE.search(text) else "en"


def faults_of(
    tunes: Sequence[CheckedTune],
    *,
    finished: bool,
    request: Request | None = None,
    breach: str = "",
) -> list[Fault]:
    """Return what is wrong with an answer; nothing for one without a fault.

    Without a fault are: at least one tune, all of them valid ABC whose bars fit their metre, ended
    by the model, the first as the request states it. Cost: under a millisecond for a usual tune.

    Args:
        tunes: of the answer, checked.
        finished: the model ended the answer.
        request: with the conditions that the first tune must meet; None for none.
        breach: where it breaks the rules of tunes; empty where it does not, or has none.
    """
    faults = [] if tunes else [Fault("no_tune")]
    for number, tune in enumerate(tunes, start=1):
        faults += faults_of_tune(tune, number if len(tunes) > 1 else 0)
    if breach:
        faults.append(Fault("grammar", {"reason": breach}))
    if tunes and tunes[0].parses and request is not None:
        faults += _unmet(request, tunes[0].abc)
    return faults if finished else [*faults, Fault("cut")]


def faults_of_tune(tune: CheckedTune, number: int = 0) -> Iterator[Fault]:
    """Yield what is wrong with one tune, bar by bar."""
    if not tune.parses:
        reason = "; ".join(tune.problems).removeprefix("does not parse: ")
        yield Fault("parse", {"reason": reason}, number)
        return
    score = abc.parse(tune.abc)
    for fault in abc.check(score).faults:
        actual, expected = lengths(fault)
        values = {"bar": str(fault.bar + 1), "actual": actual, "expected": expected}
        yield Fault("bar", values, number)


def lengths(fault: abc.Fault) -> tuple[str, str]:
    """Return the actual and the expected length of a bar, in the same unit, such as `7/8`."""
    unit = lcm(SMALLEST, fault.expected.denominator, fault.actual.denominator)
    return _in(unit, fault.actual), _in(unit, fault.expected)


def _in(unit: int, length: Fraction) -> str:
    return f"{length * unit}/{unit}"


def _unmet(request: Request, tune: str) -> Iterator[Fault]:
    """Yield the conditions of a request that a tune does not meet."""
    from musicllm.evals.generation.adherence import adherence

    try:
        score = abc.parse(tune)
    except InputError:
        return
    met, stated = adherence(request, score), request.stated
    if met.metre_as_asked is False:
        values = {"actual": score.metre_text, "expected": stated.metre or ""}
        yield Fault("metre", values)
    if met.key_as_asked is False and stated.key is not None:
        expected = key_in_words(stated.key)
        yield Fault("key", {"actual": key_in_words(score.key), "expected": expected})
    others = {
        "rhythm": met.rhythm_as_asked,
        "chords": met.chords_as_asked,
        "motif": met.motif_as_asked,
        "form": met.form_as_asked,
        "opening": met.first_bars_as_asked,
    }
    for name, is_met in others.items():
        if is_met is False:
            expected = request.conditions.get(name) or request.conditions.get("terms", "")
            yield Fault("condition", {"name": name, "expected": expected})
