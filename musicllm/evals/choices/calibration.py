"""Whether a model that is 70 % sure is right 7 times in 10: calibration of the choice of a letter.

A model's confidence is the probability of its letter among the letters offered, from their
log-likelihoods. This is the choice by the letter's likelihood, in perplexity mode as well: there
the prompt before the letter is the same for all options, so that its likelihood cancels out. What a
model writes in generation mode has no such probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from musicllm.evals.results import Metrics

NUM_BINS = 15
"""Bins of equal width over confidence (Guo et al. 2017, arXiv 1706.04599)."""


@dataclass(frozen=True)
class Bin:
    """The questions answered with a confidence above `low` and up to `high`.

    Attributes:
        low: lower border, 0 to 1.
        high: upper border.
        num_questions: in the bin, at least one.
        confidence: their mean.
        accuracy: share of them that the chosen letter answers right.
    """

    low: float
    high: float
    num_questions: int
    confidence: float
    accuracy: float


def reliability(rows: Sequence[Mapping[str, Any]]) -> list[Bin]:
    """Return the bins that hold questions, by rising confidence; none without likelihoods."""
    by_bin: dict[int, list[tuple[float, bool]]] = {}
    for row in rows:
        if row["logliks"] is not None:
            shares = probabilities(row["logliks"])
            letter = max(shares, key=shares.__getitem__)
            place = max(0, math.ceil(shares[letter] * NUM_BINS - 1e-9) - 1)
            by_bin.setdefault(place, []).append((shares[letter], letter == row["gold"]))
    return [
        Bin(
            low=place / NUM_BINS,
            high=(place + 1) / NUM_BINS,
            num_questions=len(answers),
            confidence=fmean(confidence for confidence, _ in answers),
            accuracy=sum(right for _, right in answers) / len(answers),
        )
        for place, answers in sorted(by_bin.items())
    ]


def metrics(rows: Sequence[Mapping[str, Any]]) -> Metrics:
    """Return calibration over the questions with likelihoods; nothing when there are none.

    `expected_calibration_error` is the mean distance between confidence and accuracy over the
    bins, weighted by their questions. `brier_score` is the squared error of the probabilities,
    summed over the letters: 0 is certain and right, 2 certain and wrong, 0.75 an even guess
    among four.
    """
    scored = [row for row in rows if row["logliks"] is not None]
    if not scored:
        return {}
    bins = reliability(scored)
    gaps = sum(abs(bin_.confidence - bin_.accuracy) * bin_.num_questions for bin_ in bins)
    sure = sum(bin_.confidence * bin_.num_questions for bin_ in bins)
    return {
        "expected_calibration_error": gaps / len(scored),
        "brier_score": fmean(
            sum((share - (letter == row["gold"])) ** 2 for letter, share in shares.items())
            for row in scored
            for shares in [probabilities(row["logliks"])]
        ),
        "mean_confidence": sure / len(scored),
    }


def probabilities(logliks: Mapping[str, float]) -> dict[str, float]:
    """Return the probability of each letter among those offered.

    Args:
        logliks: log-likelihood in nats by letter, at least one of them finite.
    """
    most = max(logliks.values())
    weights = {letter: math.exp(value - most) for letter, value in logliks.items()}
    total = sum(weights.values())
    return {letter: weight / total for letter, weight in weights.items()}
