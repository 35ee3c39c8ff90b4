"""How much of the tunes of an answer is not in the training texts."""

from __future__ import annotations

from musicllm.errors import InputError
from musicllm.music import abc
from musicllm.serve.measures import MEASURES, Answer, Measure


def novelty(answer: Answer) -> float:
    """Return what is new in the least new tune; 0 if one is a copy, or there is no tune.

    New is what is not in the longest run of characters, or of steps of the melody in any key, that
    one training tune has, too (`evals.copies`, `evals.memorisation`).
    """
    assert answer.index is not None, "novelty needs the training texts"
    if not answer.tunes:
        return 0.0
    return min(_new(answer, tune.abc) for tune in answer.tunes)


def _new(answer: Answer, tune: str) -> float:
    assert answer.index is not None, "novelty needs the training texts"
    run = answer.index.longest_run(tune)
    try:
        melody = answer.index.melodies.look_up(abc.parse(tune))
    except InputError:
        return 0.0
    if run.is_near_copy or melody.is_copy:
        return 0.0
    return 1.0 - max(run.share, melody.run_share)


MEASURES.register(Measure("novelty", "share that is in no training tune", novelty, True))
