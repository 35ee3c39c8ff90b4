"""The tunes in an answer, each parsed and checked against its metre."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from musicllm.data.instructions import key_in_words
from musicllm.errors import InputError
from musicllm.music import abc

_NUMBERED = re.compile(r"(?:^|(?<=\s))X:\s*\d")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True)
class CheckedTune:
    """One tune of an answer.

    Attributes:
        abc: its text.
        parses: whether it is valid ABC with at least one bar.
        title: from `T:`, or such as `Reel in D major`; empty if it does not parse.
        key: its first key, such as `D major`; empty if it does not parse.
        metre: its first metre; likewise.
        num_bars: bars with a metre.
        num_bars_fitting: number of them that fit it.
        problems: why it does not parse, and which bars do not fit.
    """

    abc: str
    parses: bool
    title: str
    key: str
    metre: str
    num_bars: int
    num_bars_fitting: int
    problems: tuple[str, ...]


def check_tunes(text: str) -> list[CheckedTune]:
    """Return every tune in a text, in order, checked.

    Where `X:` and a number begin something that is no whole tune, it is one that does not parse. An
    answer that continues a beginning is checked together with it. Cost: under a millisecond for a
    usual tune.
    """
    return [checked(abc.unfold(text[start:stop])) for start, stop in tune_places(text)]


def tune_places(text: str) -> list[tuple[int, int]]:
    """Return start and end of every tune in a text, in order, also of those that do not parse."""
    spans = abc.find_tunes(text)
    starts = [span.start for span in spans]
    blanks = [match.start() for match in _BLANK_LINE.finditer(text)]
    places = [(span.start, span.stop) for span in spans]
    for match in _NUMBERED.finditer(text):
        start = match.start()
        following = bisect_right(starts, start)
        if following and start < spans[following - 1].stop:
            continue
        stop = starts[following] if following < len(starts) else len(text)
        blank = bisect_left(blanks, start)
        places.append((start, min(stop, blanks[blank]) if blank < len(blanks) else stop))
    return sorted(places)


def checked(tune: str) -> CheckedTune:
    """Return a tune, one field per line, checked."""
    try:
        score = abc.parse(tune)
    except InputError as error:
        return CheckedTune(tune, False, "", "", "", 0, 0, (f"does not parse: {error}",))
    if not score.bars:
        return CheckedTune(tune, False, "", "", "", 0, 0, ("has no bars",))
    report = abc.check(score)
    num_bars = sum(bar.metre is not None for bar in score.bars)
    rhythm = score.header.get("R") or "tune"
    made_up = f"{rhythm[:1].upper()}{rhythm[1:]} in {key_in_words(score.key)}"
    faults = len(report.faults)
    problems = (f"{faults} of {num_bars} bars do not fit the metre",) if faults else ()
    return CheckedTune(
        abc=tune,
        parses=True,
        title=score.header.get("T") or made_up,
        key=key_in_words(score.key),
        metre=score.metre_text,
        num_bars=num_bars,
        num_bars_fitting=num_bars - faults,
        problems=problems,
    )
