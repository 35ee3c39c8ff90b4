"""Which tunes are good enough to learn from, and the one form that they take.

A tune stays when it parses, is long enough to be music, and nearly all its bars are as long as its
metre says. Nothing is repaired but spelling: the normal form of `music.abc.canonical`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musicllm import console
from musicllm.data.records import Drop
from musicllm.music.abc.canonical import canonical
from musicllm.music.abc.checks import check
from musicllm.music.abc.limits import AbcError
from musicllm.music.abc.model import Rejection, Score, Tune
from musicllm.music.abc.parser import parse

MIN_BARS = 4
MIN_NOTES = 12
MIN_SHARE_FITTING = 0.8
"""Books print the odd bar wrongly; with more than a fifth of them, the metre itself is in doubt."""


@dataclass(frozen=True)
class CleanTune:
    """A tune that stays.

    Attributes:
        id: its place, such as `oneills1850/0001-0050.abc:12`; unique in a corpus.
        source: its book.
        text: its normal form.
        score: what the text means.
    """

    id: str
    source: str
    text: str
    score: Score


def clean(found: Sequence[tuple[str, Tune | Rejection]]) -> tuple[list[CleanTune], list[Drop]]:
    """Bring tunes into their normal form, or say why not.

    Cost: linear in text, about a millisecond a tune.

    Args:
        found: what the books hold, each with its book's name.
    """
    tunes: list[CleanTune] = []
    drops: list[Drop] = []
    with console.progress("checking tunes", len(found), "tune") as advance:
        for book, tune in found:
            result = _clean(book, tune)
            if isinstance(result, Drop):
                drops.append(result)
            else:
                tunes.append(result)
            advance()
    return tunes, drops


def _clean(book: str, tune: Tune | Rejection) -> CleanTune | Drop:
    place = f"{book}/{Path(tune.file).name}:{tune.line}"
    if isinstance(tune, Rejection):
        return Drop(book, place, "is not a tune", tune.reason)
    try:
        score = parse(tune.text)
        text = canonical(score)
        fault = _fault(score)
        return Drop(book, place, *fault) if fault else CleanTune(place, book, text, parse(text))
    except AbcError as error:
        return Drop(book, place, "does not parse", str(error))


def _fault(score: Score) -> tuple[str, str] | None:
    num_notes = sum(bool(note.pitches) for bar in score.bars for note in bar.notes)
    if len(score.bars) < MIN_BARS or num_notes < MIN_NOTES:
        return "is too short", f"{len(score.bars)} bars, {num_notes} notes"
    report = check(score)
    if report.share_fitting < MIN_SHARE_FITTING:
        return "bars do not fit the metre", f"{report.num_fitting} of {report.num_bars} bars fit"
    return None
