"""What generated tunes are worth as music: whether they parse, fit metre and key, and are new.

Takes what a model answered and measures it with the music room's own tools; generates nothing and
asks no model. The same measurements on held-out tunes, the answers that a person wrote, say what a
figure is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from musicllm.errors import InputError
from musicllm.evals.copies import CopyIndex
from musicllm.evals.requests import asked, find_tune
from musicllm.evals.results import Metrics, Outcome, bootstrap, wilson, with_interval
from musicllm.music import abc
from musicllm.music.analysis import key_fit


@dataclass(frozen=True)
class TuneRow:
    """One generated tune.

    Attributes:
        prompt: the user's message.
        completion: the answer.
        abc: the tune found in it, or empty.
        parses: whether it is valid ABC with at least one bar.
        problem: why it does not parse, or empty.
        num_bars: bars in a metre; free metre has none that could fit.
        num_bars_fitting: how many of them are full or excused.
        key_fit: share of sounding time inside the key; None when it does not parse.
        metre_as_asked: None when the prompt states no metre.
        key_as_asked: None when the prompt states no key.
        finished: the model ended the answer itself.
        num_characters: of the tune.
        longest_copy: characters of the longest run that stands in a training tune.
        copy_share: share of the tune's body in that run.
        is_near_copy: whether that run is large (`copies.NEAR_COPY_SHARE`).
        copied_from: index of the training tune, or -1.
    """

    prompt: str
    completion: str
    abc: str
    parses: bool
    problem: str
    num_bars: int
    num_bars_fitting: int
    key_fit: float | None
    metre_as_asked: bool | None
    key_as_asked: bool | None
    finished: bool
    num_characters: int
    longest_copy: int
    copy_share: float
    is_near_copy: bool
    copied_from: int

    @property
    def share_fitting(self) -> float:
        """Share of the bars that fit; 0 without bars."""
        return self.num_bars_fitting / self.num_bars if self.num_bars else 0.0


def measure(
    prompts: Sequence[str],
    completions: Sequence[str],
    finished: Sequence[bool],
    index: CopyIndex,
    seed: int,
) -> Outcome:
    """Measure the answers to prompts, at least one.

    Args:
        prompts: user messages.
        completions: an answer to each.
        finished: whether the model ended each answer itself.
        index: of the training tunes.
        seed: of the resampling for the intervals.

    Returns:
        Shares and means, and one row per tune.
    """
    rows = [
        measure_tune(prompt, completion, ended, index)
        for prompt, completion, ended in zip(prompts, completions, finished, strict=True)
    ]
    metrics = summarise(rows, seed) | {"num_training_characters": index.num_characters}
    return Outcome(metrics, generations=[asdict(row) for row in rows])


def measure_tune(prompt: str, completion: str, finished: bool, index: CopyIndex) -> TuneRow:
    """Measure one answer; an answer without a valid tune is a row too."""
    tune = find_tune(completion)
    run = index.longest_run(tune)
    wanted = asked(prompt)
    score, problem = _parsed(tune)
    measured = [bar for bar in score.bars if bar.metre is not None] if score else []
    faults = len(abc.check(score).faults) if score else 0
    return TuneRow(
        prompt=prompt,
        completion=completion,
        abc=tune,
        parses=score is not None,
        problem=problem,
        num_bars=len(measured),
        num_bars_fitting=len(measured) - faults,
        key_fit=key_fit(score) if score else None,
        metre_as_asked=_agrees(wanted.metre, score.metre_text if score else None),
        key_as_asked=_agrees(wanted.key, score.key if score else None),
        finished=finished,
        num_characters=len(tune),
        longest_copy=run.length,
        copy_share=run.share,
        is_near_copy=run.is_near_copy,
        copied_from=run.source,
    )


def summarise(rows: Sequence[TuneRow], seed: int) -> Metrics:
    """Turn rows into metrics.

    `bars_fitting` is over the bars of all tunes that parse, `bars_fitting_per_tune` the mean over
    these tunes, and `bars_fitting_strict` the mean over all tunes, where one that does not parse
    counts 0; such a tune has neither the metre nor the key that was asked for either.
    """
    valid = [row for row in rows if row.parses]
    shares = [row.share_fitting for row in valid]
    bars = ([row.num_bars_fitting for row in valid], [row.num_bars for row in valid])
    metres = [row.metre_as_asked for row in rows if row.metre_as_asked is not None]
    keys = [row.key_as_asked for row in rows if row.key_as_asked is not None]
    return {
        **_share("parse_share", [row.parses for row in rows]),
        **_ratio("bars_fitting", bars[0], bars[1], seed),
        **_ratio("bars_fitting_per_tune", shares, [1] * len(shares), seed),
        **_ratio("bars_fitting_strict", [row.share_fitting for row in rows], [1] * len(rows), seed),
        **_ratio("key_fit", [row.key_fit or 0.0 for row in valid], [1] * len(valid), seed),
        **_share("metre_as_asked", metres),
        **_share("key_as_asked", keys),
        **_share("finished", [row.finished for row in rows]),
        **_ratio("copy_share", [row.copy_share for row in rows], [1] * len(rows), seed),
        **_share("near_copies", [row.is_near_copy for row in rows]),
        "longest_copy": max(row.longest_copy for row in rows),
        "bars_per_tune": fmean(bars[1]) if valid else None,
        "characters_per_tune": fmean(row.num_characters for row in rows),
        "num_tunes": len(rows),
        "num_bars": sum(bars[1]),
    }


def _parsed(tune: str) -> tuple[abc.Score | None, str]:
    """Return the score, or None and why there is none."""
    if not tune:
        return None, "no tune: no line starts with X:"
    try:
        score = abc.parse(tune)
    except InputError as error:
        return None, str(error)
    return (score, "") if score.bars else (None, "no bars")


def _agrees(wanted: object | None, found: object | None) -> bool | None:
    return None if wanted is None else wanted == found


def _share(name: str, outcomes: Sequence[bool]) -> Metrics:
    """Return a share with its Wilson interval; None when there is nothing to count."""
    if not outcomes:
        return {name: None}
    right = sum(outcomes)
    return with_interval(name, right / len(outcomes), wilson(right, len(outcomes)))


def _ratio(name: str, values: Sequence[float], weights: Sequence[float], seed: int) -> Metrics:
    """Return a ratio of sums with its bootstrap interval; None when there is nothing to divide."""
    total = sum(weights)
    if not total:
        return {name: None}
    return with_interval(name, sum(values) / total, bootstrap(values, seed, weights))
