"""Accuracy over all questions, by subject and by category, and what guessing would reach.

Micro is over questions; macro by subject is the mean over subjects. A category's accuracy is over
its questions, as in the reference evaluation of MMLU (hendrycks/test), and macro by category the
mean over categories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from musicllm.evals.choices import calibration
from musicllm.evals.results import Metrics, bootstrap_shares, wilson, with_interval

PredictionRow = Mapping[str, Any]
"""One answered question, as it stands in `predictions.jsonl`."""

CHANCE = 0.25
"""Accuracy of guessing among A, B, C and D."""

Tally = tuple[int, int]
"""Questions that were answered right, and all questions."""


def metrics(rows: Sequence[PredictionRow], seed: int) -> Metrics:
    """Return the metrics of the answers to at least one question.

    A question without an answer (the model wrote no letter) counts as wrong, and
    a flagged one, say with a blank option, counts like any other; both are counted as well.

    Args:
        rows: one per question.
        seed: of the resampling for the intervals.

    Returns:
        `accuracy` and the macro means with bootstrap intervals; `accuracy_<subject>`,
        `accuracy_category_<category>` and `accuracy_level_<level>`, which may rest on few
        questions, with Wilson's, which stays honest there. In perplexity mode
        `accuracy_by_letter`, the accuracy by the likelihood of the letter alone, and
        `agreement`, the share of questions on which both choose the same. Calibration where there
        are likelihoods. `majority_accuracy`, of always giving the most frequent right letter.
        Counts.
    """
    assert rows, "accuracy needs questions"
    gold_letters = Counter(row["gold"] for row in rows)
    return {
        **_means(rows, seed),
        **_by_letter(rows, seed),
        "chance_accuracy": CHANCE,
        "majority_accuracy": max(gold_letters.values()) / len(rows),
        **calibration.metrics(rows),
        **_counts(rows),
        **_parts(rows, "category", "accuracy_category"),
        **_parts(rows, "level", "accuracy_level"),
        **_parts(rows, "subject", "accuracy"),
    }


def tallies(rows: Iterable[PredictionRow], key: str) -> dict[str, Tally]:
    """Return right answers and questions by the value of a field, in the order of appearance.

    Args:
        rows: of any benchmark.
        key: `subject`, `category` or `level`; rows that have none are left out.
    """
    counts: dict[str, Tally] = {}
    for row in rows:
        if (value := row.get(key)) is not None:
            right, num = counts.get(value, (0, 0))
            counts[value] = right + bool(row["correct"]), num + 1
    return counts


def named(part: str) -> str:
    """Return a subject or category as a part of a metric's name."""
    return part.strip().lower().replace(" ", "_")


def _means(rows: Sequence[PredictionRow], seed: int) -> Metrics:
    num_correct = sum(bool(row["correct"]) for row in rows)
    means = _mean("accuracy", [(num_correct, len(rows))], seed)
    for key, name in (
        ("subject", "accuracy_macro_subject"),
        ("category", "accuracy_macro_category"),
    ):
        parts = tallies(rows, key).values()
        if sum(num for _, num in parts) == len(rows):  # a mean that leaves questions out misleads
            means |= _mean(name, list(parts), seed)
    return means


def _mean(name: str, parts: Sequence[Tally], seed: int) -> Metrics:
    mean = sum(right / num for right, num in parts) / len(parts)
    return with_interval(name, mean, bootstrap_shares(parts, seed))


def _parts(rows: Sequence[PredictionRow], key: str, name: str) -> Metrics:
    metrics_of_parts: Metrics = {}
    for part, (right, num) in tallies(rows, key).items():
        metrics_of_parts |= with_interval(f"{name}_{named(part)}", right / num, wilson(right, num))
    return metrics_of_parts


def _by_letter(rows: Sequence[PredictionRow], seed: int) -> Metrics:
    """Compare the two ways to choose, where there are both."""
    if any(row["mean_nll"] is None or row["predicted_by_letter"] is None for row in rows):
        return {}
    right = sum(row["predicted_by_letter"] == row["gold"] for row in rows)
    same = sum(row["predicted_by_letter"] == row["predicted"] for row in rows)
    accuracy = _mean("accuracy_by_letter", [(right, len(rows))], seed)
    return accuracy | {"agreement": same / len(rows)}


def _counts(rows: Sequence[PredictionRow]) -> Metrics:
    flags = Counter(flag for row in rows for flag in row["flags"])
    return {
        "num_questions": len(rows),
        "num_subjects": len(tallies(rows, "subject")),
        "num_correct": sum(bool(row["correct"]) for row in rows),
        "num_no_letter": sum(row["predicted"] is None for row in rows),
        "num_dropped_shots": sum(row["num_dropped_shots"] for row in rows),
        "num_questions_with_dropped_shots": sum(row["num_dropped_shots"] > 0 for row in rows),
        "num_truncated_prompts": sum(row["num_cut_tokens"] > 0 for row in rows),
        "num_flagged": sum(bool(row["flags"]) for row in rows),
        **{f"num_flagged_{named(flag)}": count for flag, count in sorted(flags.items())},
    }
