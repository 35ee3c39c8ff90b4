"""The part of the tune before its first fault is kept, and the model is to complete it.

In the words of the family `continuation`, which the models of the recipes here are trained with; so
it serves models that know single requests and follow no correction. The system prompt stays; what
the request stated beside is in the part that is kept, or is lost to the model, and is checked all
the same. Chinese where the last message has a Chinese character, else English.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.music.abc.places import parse_with_places, place_of_error
from musicllm.serve.repair import REPAIRS, Repair

if TYPE_CHECKING:
    from musicllm.data.records import Message
    from musicllm.serve.repair.faults import Fault

MIN_BARS = 2
"""Fewer right bars than these are no beginning; the request is answered again."""


def beginning(tune: str) -> str | None:
    """Return a tune up to the bar line before its first fault; None without two right bars.

    A tune without a fault has nothing to be completed: None.
    """
    stop = _first_fault(tune)
    if stop is None:
        return None
    for end in _ends_of_bars(tune[:stop]):
        kept = tune[:end].rstrip()
        try:
            score = abc.parse(kept)
        except InputError:
            continue
        if abc.check(score).faults:
            continue
        return kept if len(score.bars) >= MIN_BARS else None
    return None


def _first_fault(tune: str) -> int | None:
    """Return the index of the bar, or of the place, where the first fault stands."""
    try:
        score, places = parse_with_places(tune)
    except abc.AbcError as error:
        place = place_of_error(tune, error)
        return len(tune) if place is None else place[0]
    faults = abc.check(score).faults
    return places[faults[0].bar][0] if faults else None


def _ends_of_bars(text: str) -> list[int]:
    """Return the indices behind the last bar lines of a text, the last first; a few of them."""
    ends = [index + 1 for index, sign in enumerate(text) if sign == "|"]
    return ends[::-1][:8]


def _follow_up(
    messages: Sequence[Message], answer: str, _faults: Sequence[Fault]
) -> Sequence[Message] | None:
    from musicllm.data.instructions.stating import request_in_words
    from musicllm.serve.answers import check_tunes
    from musicllm.serve.repair.faults import language_of

    tunes = check_tunes(answer)
    opening = beginning(tunes[0].abc) if len(tunes) == 1 else None
    if opening is None:
        return None
    language = language_of(str(messages[-1]["content"]))
    words = request_in_words("continuation", {"opening": opening}, language=language)
    system = [message for message in messages[:1] if message["role"] == "system"]
    return [*system, {"role": "user", "content": words}]


REPAIRS.register(Repair("keep", "the tune before its first fault, to be completed", _follow_up))
