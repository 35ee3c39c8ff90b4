"""One answer to a request for a tune, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from musicllm.errors import InputError
from musicllm.evals.copies import CopyIndex
from musicllm.evals.generation.adherence import Adherence, adherence
from musicllm.evals.generation.structure import Structure, structure
from musicllm.evals.memorisation import NO_MATCH, MelodyMatch
from musicllm.evals.requests import Request, find_tune
from musicllm.music import abc
from musicllm.music.analysis import chord_cover, chords, key_fit


@dataclass(frozen=True)
class TuneRow:
    """One generated tune.

    Attributes:
        family: kind of request; empty when unknown.
        prompt: the user's message.
        wanted: conditions of the request, as in `Request`.
        completion: the answer.
        abc: the tune in it, or empty.
        parses: whether it is valid ABC with at least one bar.
        problem: why it does not parse, or empty.
        num_bars: bars in a metre; free metre has none that could fit.
        num_bars_fitting: how many of them are full or excused.
        key_fit: share of sounding time inside the tune's own key; None when it does not parse.
        chord_fit: share of sounding time that belongs to the tune's own chord symbols; None without
            any.
        finished: the model ended the answer itself.
        num_characters: of the tune.
        longest_copy: characters of the longest run that stands in a training tune.
        copy_share: share of the tune's body in that run.
        is_near_copy: whether that run is large (`copies.NEAR_COPY_SHARE`).
        copied_from: index of the training tune, or -1.
        heard: what its melody has in common with the training tunes, in any key.
        is_melodic_copy: whether it is a version of a training tune (`memorisation.SAME_MELODY`).
        adherence: which conditions of the request it meets.
        structure: how it is built; None when it does not parse.
    """

    family: str
    prompt: str
    wanted: Mapping[str, str]
    completion: str
    abc: str
    parses: bool
    problem: str
    num_bars: int
    num_bars_fitting: int
    key_fit: float | None
    chord_fit: float | None
    finished: bool
    num_characters: int
    longest_copy: int
    copy_share: float
    is_near_copy: bool
    copied_from: int
    heard: MelodyMatch
    is_melodic_copy: bool
    adherence: Adherence
    structure: Structure | None

    @property
    def share_fitting(self) -> float:
        """Share of the bars that fit; 0 without bars."""
        return self.num_bars_fitting / self.num_bars if self.num_bars else 0.0


def measure_tune(
    request: Request | str, completion: str, finished: bool, index: CopyIndex
) -> TuneRow:
    """Measure one answer; an answer without a valid tune is a row too.

    Args:
        request: of a message alone, what it states in words or fields counts.
        completion: the answer.
        finished: whether the model ended it itself.
        index: of the training tunes.
    """
    request = Request(request) if isinstance(request, str) else request
    tune = find_tune(completion)
    run = index.longest_run(tune)
    score, problem = _parsed(tune)
    measured = [bar for bar in score.bars if bar.metre is not None] if score else []
    faults = len(abc.check(score).faults) if score else 0
    match = index.melodies.look_up(score) if score else NO_MATCH
    return TuneRow(
        family=request.family,
        prompt=request.prompt,
        wanted=request.conditions,
        completion=completion,
        abc=tune,
        parses=score is not None,
        problem=problem,
        num_bars=len(measured),
        num_bars_fitting=len(measured) - faults,
        key_fit=key_fit(score) if score else None,
        chord_fit=chord_cover(score) if score and chords(score) else None,
        finished=finished,
        num_characters=len(tune),
        longest_copy=run.length,
        copy_share=run.share,
        is_near_copy=run.is_near_copy,
        copied_from=run.source,
        heard=match,
        is_melodic_copy=match.is_copy,
        adherence=adherence(request, score),
        structure=structure(score) if score else None,
    )


def _parsed(tune: str) -> tuple[abc.Score | None, str]:
    """Return the score, or None and why there is none."""
    if not tune:
        return None, "no tune: no line starts with X:"
    try:
        score = abc.parse(tune)
    except InputError as error:
        return None, str(error)
    return (score, "") if score.bars else (None, "no bars")
