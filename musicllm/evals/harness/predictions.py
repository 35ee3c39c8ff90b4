"""What a model chose: read from the answers that the harness got for one question."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from musicllm.errors import StageError
from musicllm.evals.answer_extraction import extract
from musicllm.evals.prompt_settings import Mode
from musicllm.evals.questions import LETTERS, LabelledQuestion

MeanNll = Callable[[str, str], float]
"""Context, continuation -> mean negative log-likelihood of both together, nats per token."""


@dataclass(frozen=True)
class Prediction:
    """A model's choice among the options of one question.

    Attributes:
        logliks: letter -> log-likelihood behind the prompt, in nats; None where it wrote.
        mean_nll: letter -> nats per token of the whole prompt with it; None but in perplexity mode.
        answer: the text that it wrote; None in the other modes.
        predicted: the choice by the mode; None where the answer has no letter.
        by_letter: the choice by `logliks`; None where it wrote.
    """

    logliks: dict[str, float] | None
    mean_nll: dict[str, float] | None
    answer: str | None
    predicted: str | None
    by_letter: str | None


def read_answer(solved: LabelledQuestion, text: str) -> Prediction:
    """Read the choice out of what a model wrote."""
    return Prediction(None, None, text, extract(text, solved.question.options), None)


def read_likelihoods(
    solved: LabelledQuestion, logliks: Sequence[float], mean_nll: Sequence[float] | None = None
) -> Prediction:
    """Read the choice from likelihoods; of equal ones the first counts, as in the harness.

    Args:
        solved: the question, for messages.
        logliks: of the letters behind the prompt, in nats.
        mean_nll: of the whole prompt with each letter, in nats per token; it then decides.

    Raises:
        StageError: a likelihood is not a number.
    """
    by_letter = _lettered(solved, logliks)
    whole = None if mean_nll is None else _lettered(solved, mean_nll)
    most_probable = max(by_letter, key=by_letter.__getitem__)
    predicted = most_probable if whole is None else min(whole, key=whole.__getitem__)
    return Prediction(by_letter, whole, None, predicted, most_probable)


def _lettered(solved: LabelledQuestion, values: Sequence[float]) -> dict[str, float]:
    if any(map(math.isnan, values)):
        raise StageError(
            f"the model gives question {solved.question.id} likelihoods that are not numbers; "
            "its weights or their dtype are to blame: load it in bfloat16 or float32"
        )
    return {letter: float(value) for letter, value in zip(LETTERS, values, strict=True)}


def scores(reading: Prediction, solved: LabelledQuestion) -> dict[str, float]:
    """Return the harness's metrics of one question."""
    correct = float(reading.predicted == solved.answer)
    if reading.answer is not None:
        return {"exact_match": correct}
    if reading.mean_nll is None:
        return {"acc": correct}
    return {"acc": correct, "acc_by_letter": float(reading.by_letter == solved.answer)}


METRICS: Mapping[Mode, tuple[str, ...]] = {
    "likelihood": ("acc",),
    "perplexity": ("acc", "acc_by_letter"),
    "generation": ("exact_match",),
}
"""What `scores` returns in each mode; means over questions, higher is better."""


def row_of(
    solved: LabelledQuestion,
    reading: Prediction,
    sample: Mapping[str, Any],
    num_shots: int,
    flags: Sequence[str],
) -> dict[str, Any]:
    """Return a question's row of `predictions.jsonl`, but for task, category and dropped shots."""
    level = {} if solved.level is None else {"level": solved.level}
    return {
        "subject": solved.subject,
        **level,
        "question_id": solved.question.id,
        "doc_id": sample["doc_id"],
        "prompt_hash": sample["prompt_hash"],
        "num_shots": num_shots,
        "logliks": reading.logliks,
        "mean_nll": reading.mean_nll,
        "predicted": reading.predicted,
        "predicted_by_letter": reading.by_letter,
        "gold": solved.answer,
        "correct": reading.predicted == solved.answer,
        "answer": reading.answer,
        "flags": list(flags),
    }
