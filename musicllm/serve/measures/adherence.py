"""Whether the first tune of an answer is the one that the prompt wants, and keeps to its key."""

from __future__ import annotations

from statistics import fmean

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.serve.measures import MEASURES, Answer, Measure

CONDITIONS = (
    "metre_as_asked", "key_as_asked", "rhythm_as_asked", "chord_adherence", "motif_as_asked",
    "form_adherence", "first_bars_kept",
)  # fmt: skip
"""Of `evals.generation.adherence`; where it has a share and a yes or no, the share."""


def as_asked(answer: Answer) -> float | None:
    """Return the mean over the conditions of the request that its first tune meets.

    0 if that does not parse, or there is none; None where the request states no condition.
    """
    from musicllm.evals.generation.adherence import adherence

    met = adherence(answer.request, _score(answer))
    values = [float(value) for name in CONDITIONS if (value := getattr(met, name)) is not None]
    return fmean(values) if values else None


def in_key(answer: Answer) -> float:
    """Return the share of sounding time of the first tune inside its own key; 0 without one."""
    from musicllm.music.analysis import key_fit

    score = _score(answer)
    share = None if score is None else key_fit(score)
    return 0.0 if share is None else share


def _score(answer: Answer) -> abc.Score | None:
    try:
        return abc.parse(answer.tunes[0].abc) if answer.tunes else None
    except InputError:
        return None


MEASURES.register(Measure("as_asked", "share of the prompt's conditions that are met", as_asked))
MEASURES.register(Measure("key_fit", "share of sounding time inside the tune's own key", in_key))
