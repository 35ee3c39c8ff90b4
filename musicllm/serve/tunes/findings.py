"""Everything that `music/` finds out about the tunes of a text, as JSON, with places for marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import lcm
from typing import Any

from musicllm.data.instructions import key_in_words
from musicllm.errors import InputError
from musicllm.music import abc, analysis
from musicllm.music.abc.places import Place, parse_with_places, place_of_error
from musicllm.music.analysis.sections import section_starts
from musicllm.music.render.staff import describe
from musicllm.serve.answers import checked, tune_places

MAX_CHARS = 64_000
"""Longest text; renderers take as much."""
MAX_TUNES = 100
MAX_SECTIONS = 100
"""More are not compared with each other, which takes the square of the time."""
LIMITS = abc.Limits(max_tune_chars=MAX_CHARS, max_bars=1_000)
SMALLEST = 8
"""Lengths are written in eighths, or in smaller values where they need it."""

_NUMBERED = re.compile(r"(?<!\S)X:\s*\d")


def findings(text: str, *, is_tune: bool = False, utf16: bool = False) -> dict[str, Any]:
    """Check and analyse every tune of a text.

    Every place (`start`, `stop`) of a tune counts in the text, those inside a tune in its `abc`,
    which is that part of the text. Cost: milliseconds for a usual tune; at most a second or two.

    Args:
        text: any.
        is_tune: the whole text is one tune; otherwise the tunes are looked for.
        utf16: count places in units of UTF-16, as JavaScript does, instead of characters.

    Returns:
        `tunes`, a list, and `problem`: why there is none.

    Raises:
        InputError: the text is larger than a limit of this module.
    """
    limit(text)
    places = [(0, len(text))] if is_tune else tune_places(text)
    count = _utf16(text) if utf16 else _characters
    tunes = [
        {"start": count(start), "stop": count(stop), **_tune(text[start:stop], utf16=utf16)}
        for start, stop in places
    ]
    return {"tunes": tunes, "problem": "" if tunes else _why_none(text)}


def limit(text: str) -> None:
    """Refuse what takes long to read.

    Raises:
        InputError: it is.
    """
    if len(text) > MAX_CHARS:
        raise InputError(f"the text has {len(text):,} characters; at most {MAX_CHARS:,} are read")
    longest, limit = max(map(len, text.splitlines()), default=0), LIMITS.max_line_chars
    if longest > limit:
        raise InputError(f"a line has {longest:,} characters; at most {limit:,} are read")
    num_tunes = len(_NUMBERED.findall(text))
    if num_tunes > MAX_TUNES:
        raise InputError(f"the text has {num_tunes:,} tunes; at most {MAX_TUNES} are read at once")


def _why_none(text: str) -> str:
    if not text.strip():
        return "the text is empty"
    try:
        abc.parse(text, LIMITS)
    except InputError as error:
        return f"no tune is in the text; as a tune it does not parse: {error}"
    return "no tune is in the text: a tune has a line K:, and X: or M: or L: before it"


def _tune(tune: str, *, utf16: bool) -> dict[str, Any]:
    """Return what is found out about one tune."""
    check = checked(abc.unfold(tune))
    known = {
        "abc": tune,
        "parses": check.parses,
        "title": check.title,
        "key": check.key,
        "metre": check.metre,
        "num_bars": check.num_bars,
        "num_bars_fitting": check.num_bars_fitting,
        "problems": list(check.problems),
    }
    count = _utf16(tune) if utf16 else _characters
    try:
        score, places = parse_with_places(tune, LIMITS)
    except InputError as error:
        return {**known, **_NOTHING, "parses": False, **_failure(tune, error, count)}
    places = [(count(start), count(stop)) for start, stop in places]
    result = {**known, **_NOTHING, "bars": _bars(score, places), **_analysis(score, places)}
    if result["form"] is None:
        result["problems"].append(f"more than {MAX_SECTIONS} sections, which are not compared")
    return result


_NOTHING: dict[str, Any] = {
    "error": None,
    "description": "",
    "bars": [],
    "sections": [],
    "form": None,
    "terms": [],
    "key_estimate": None,
    "key_fit": None,
    "motif": None,
    "chords": [],
    "length_in_bars": None,
    "num_notes": 0,
    "lowest": None,
    "highest": None,
}
"""What a tune that does not parse has."""


def _failure(tune: str, error: InputError, count: Callable[[int], int]) -> dict[str, Any]:
    place = place_of_error(tune, error, LIMITS) if isinstance(error, abc.AbcError) else None
    start, stop = map(count, place) if place else (None, None)
    return {
        "problems": [f"does not parse: {error}"],
        "error": {"message": str(error), "start": start, "stop": stop},
    }


def _bars(score: abc.Score, places: Sequence[Place]) -> list[dict[str, Any]]:
    """Return each bar of all voices with its number in its voice, from 1, and whether it fits."""
    faults = {fault.bar for fault in abc.check(score).faults}
    numbers: dict[str, int] = {}
    result = []
    for index, (bar, (start, stop)) in enumerate(zip(score.bars, places, strict=True)):
        numbers[bar.voice] = numbers.get(bar.voice, 0) + 1
        metre = bar.metre
        unit = lcm(SMALLEST, bar.duration.denominator, metre.denominator if metre else 1)
        result.append(
            {
                "number": numbers[bar.voice],
                "voice": bar.voice,
                "fits": index not in faults,
                "start": start,
                "stop": stop,
                "expected": None if metre is None else _in(unit, metre),
                "actual": _in(unit, bar.duration),
            }
        )
    return result


def _in(unit: int, length: Fraction) -> str:
    return f"{length * unit}/{unit}"


def _analysis(score: abc.Score, places: Sequence[Place]) -> dict[str, Any]:
    motif = analysis.find_motif(score)
    pitches = [pitch for bar in score.bars for note in bar.notes for pitch in note.pitches]
    known: dict[str, Any] = {
        "key_estimate": key_in_words(analysis.estimate_key(score)),
        "key_fit": round(analysis.key_fit(score), 4),
        "motif": {"abc": motif.text, "times": motif.times},
        "chords": [
            {"symbol": chord.symbol, "start": places[chord.bar][0], "stop": places[chord.bar][1]}
            for chord in analysis.placed_chords(score)
        ],
        "length_in_bars": analysis.count_bars(score),
        "num_notes": sum(bool(note.pitches) for bar in score.bars for note in bar.notes),
        "lowest": min(pitches),
        "highest": max(pitches),
    }
    if len(set(section_starts(score.voice(), marks=True))) > MAX_SECTIONS:
        return known
    own = [place for bar, place in zip(score.bars, places, strict=True) if _is_first(score, bar)]
    sections = [
        {
            "label": section.label,
            "first_bar": section.first + 1,
            "last_bar": section.last + 1,
            "start": own[section.first][0],
            "stop": own[section.last][1],
        }
        for section in analysis.labelled_sections(score)
    ]
    return {
        **known,
        "sections": sections,
        "form": analysis.form(score),
        "terms": list(analysis.terms(score)),
        "description": describe(score),
    }


def _is_first(score: abc.Score, bar: abc.Bar) -> bool:
    return bar.voice == score.bars[0].voice


def _characters(place: int) -> int:
    return place


def _utf16(text: str) -> Callable[[int], int]:
    """Return what converts a place in a text to units of UTF-16."""
    if text.isascii() or all(character <= "\uffff" for character in text):
        return _characters
    units = [0]
    for character in text:
        units.append(units[-1] + (2 if character > "\uffff" else 1))
    return units.__getitem__
