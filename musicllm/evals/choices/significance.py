"""Two models on the same questions: how far apart they are, and whether chance explains it.

Only pairs count: a question answered by one of the two says nothing about their difference. All
intervals cover 95 %, all tests are two-sided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from musicllm.errors import InputError
from musicllm.evals.choices.accuracy import PredictionRow
from musicllm.evals.results import NUM_RESAMPLES, resampled

Name = TypeVar("Name")
Pair = tuple[PredictionRow, PredictionRow]
"""The answers of the baseline and of the model to one question."""


@dataclass(frozen=True)
class AccuracyComparison:
    """A model against a baseline on the questions that both answered.

    Attributes:
        num_questions: answered by both.
        num_unpaired: answered by one of them only, and left out.
        num_other_prompts: answered to different prompts, say since an example was dropped.
        baseline: its accuracy on these questions.
        model: likewise.
        difference: of the model from the baseline.
        low: lower bound of the difference, by resampling the questions.
        high: upper bound.
        num_gained: questions that only the model answers right.
        num_lost: questions that only the baseline answers right.
        p_value: of McNemar's exact test that gains and losses are equally likely.
    """

    num_questions: int
    num_unpaired: int
    num_other_prompts: int
    baseline: float
    model: float
    difference: float
    low: float
    high: float
    num_gained: int
    num_lost: int
    p_value: float


@dataclass(frozen=True)
class Difference:
    """A mean of one model against that of another, over the same items.

    Attributes:
        num_items: measured for both.
        baseline: mean, or ratio of sums.
        model: likewise.
        difference: of the model from the baseline.
        low: lower bound, by resampling the items.
        high: upper bound.
        p_value: twice the share of resamples on the other side of zero; at least
            2 / (`NUM_RESAMPLES` + 1), since no resampling shows more.
    """

    num_items: int
    baseline: float
    model: float
    difference: float
    low: float
    high: float
    p_value: float


def compare(
    baseline: Sequence[PredictionRow], model: Sequence[PredictionRow], seed: int
) -> AccuracyComparison | None:
    """Compare the answers of two models to one benchmark; None when they share no question.

    Args:
        baseline: rows of `predictions.jsonl`.
        model: likewise.
        seed: of the resampling.

    Raises:
        InputError: a question occurs twice, or has two right answers: not the same questions.
    """
    pairs, num_unpaired = _paired(baseline, model)
    return _comparison(pairs, num_unpaired, seed) if pairs else None


def compare_by_subject(
    baseline: Sequence[PredictionRow], model: Sequence[PredictionRow], seed: int
) -> dict[str, AccuracyComparison]:
    """Compare within every subject that both have; for the errors see `compare`.

    Of many tests some are significant by chance: correct the p values with `holm`.
    """
    by_subject: dict[str, list[Pair]] = {}
    for pair in _paired(baseline, model)[0]:
        by_subject.setdefault(pair[1]["subject"], []).append(pair)
    return {subject: _comparison(pairs, 0, seed) for subject, pairs in by_subject.items()}


def mcnemar(num_gained: int, num_lost: int) -> float:
    """Return the p value of McNemar's test in its exact form (McNemar 1947): a fair coin's.

    Args:
        num_gained: pairs that only the one answers right.
        num_lost: pairs that only the other answers right.
    """
    num = num_gained + num_lost
    term = total = 1  # binomial coefficients, exact at any size
    for k in range(min(num_gained, num_lost)):
        term = term * (num - k) // (k + 1)
        total += term
    return min(1.0, 2 * total / (1 << num))


def holm(p_values: Mapping[Name, float]) -> dict[Name, float]:
    """Return p values corrected for their number (Holm 1979), by the same names."""
    corrected: dict[Name, float] = {}
    least = 0.0
    for place, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[name]))
        corrected[name] = least
    return {name: corrected[name] for name in p_values}


def paired_difference(
    baseline: Sequence[float],
    model: Sequence[float],
    seed: int,
    weights: Sequence[float] | None = None,
) -> Difference:
    """Compare a number that was measured for the same items with two models.

    Args:
        baseline: one value per item, such as nats of a document; at least one item.
        model: likewise, in the same order.
        seed: of the resampling of items (paired bootstrap, Efron 1979).
        weights: what an item counts in the denominator of `sum(values) / sum(weights)`, such as
            its characters; None is 1 each, for a mean.
    """
    pairs = np.asarray([baseline, model], dtype=np.float64)
    counted = np.ones(pairs.shape[1]) if weights is None else np.asarray(weights, np.float64)
    assert pairs.shape[1] == len(counted) > 0, "paired items need a value each, and a weight"
    changes = resampled(list(pairs[1] - pairs[0]), seed, list(counted))
    ratios = pairs.sum(axis=1) / counted.sum()
    low, high = np.percentile(changes, [2.5, 97.5])
    beyond = 1 + min((changes <= 0).sum(), (changes >= 0).sum())
    return Difference(
        num_items=len(counted),
        baseline=float(ratios[0]),
        model=float(ratios[1]),
        difference=float(ratios[1] - ratios[0]),
        low=float(low),
        high=float(high),
        p_value=min(1.0, float(2 * beyond / (NUM_RESAMPLES + 1))),
    )


def _paired(
    baseline: Sequence[PredictionRow], model: Sequence[PredictionRow]
) -> tuple[list[Pair], int]:
    """Return the pairs in the baseline's order, and how many rows have no partner."""
    ours = _by_question(model)
    pairs = [(row, ours[name]) for name, row in _by_question(baseline).items() if name in ours]
    for row, other in pairs:
        if row["gold"] != other["gold"]:
            raise InputError(
                f"question {row['question_id']} has the answer {row['gold']} in one evaluation and "
                f"{other['gold']} in the other: they asked different questions under one name; "
                "evaluate both on the same files"
            )
    return pairs, len(baseline) + len(model) - 2 * len(pairs)


def _by_question(rows: Sequence[PredictionRow]) -> dict[str, PredictionRow]:
    by_question = {row["question_id"]: row for row in rows}
    if len(by_question) < len(rows):
        raise InputError(
            f"{len(rows) - len(by_question)} of {len(rows)} answers stand under the question_id of "
            "another; an evaluation answers each question once"
        )
    return by_question


def _comparison(pairs: Sequence[Pair], num_unpaired: int, seed: int) -> AccuracyComparison:
    num = len(pairs)
    gained = sum(bool(other["correct"]) and not row["correct"] for row, other in pairs)
    lost = sum(bool(row["correct"]) and not other["correct"] for row, other in pairs)
    right = sum(bool(row["correct"]) for row, _ in pairs)
    # Drawing questions with replacement draws the numbers of these three kinds of pairs.
    kinds = np.array([gained, lost, num - gained - lost]) / num
    resamples = np.random.default_rng(seed).multinomial(num, kinds, NUM_RESAMPLES)
    low, high = np.percentile((resamples[:, 0] - resamples[:, 1]) / num, [2.5, 97.5])
    return AccuracyComparison(
        num_questions=num,
        num_unpaired=num_unpaired,
        num_other_prompts=sum(row["prompt_hash"] != other["prompt_hash"] for row, other in pairs),
        baseline=right / num,
        model=(right + gained - lost) / num,
        difference=(gained - lost) / num,
        low=float(low),
        high=float(high),
        num_gained=gained,
        num_lost=lost,
        p_value=mcnemar(gained, lost),
    )
