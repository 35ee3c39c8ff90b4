"""Answered questions for tests, as rows of `predictions.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def answered(
    number: int,
    predicted: str | None,
    gold: str,
    *,
    subject: str = "history",
    logliks: Mapping[str, float] | None = None,
    **other: Any,
) -> dict[str, Any]:
    """Return the row of a question that was answered."""
    return {
        "task": f"mmlu_{subject}",
        "subject": subject,
        "category": None,
        "question_id": f"{subject}/test/{number}",
        "doc_id": number,
        "prompt_hash": f"{subject}{number}",
        "num_shots": 5,
        "num_dropped_shots": 0,
        "num_cut_tokens": 0,
        "logliks": logliks,
        "mean_nll": None,
        "predicted": predicted,
        "predicted_by_letter": None if logliks is None else max(logliks, key=logliks.__getitem__),
        "gold": gold,
        "correct": predicted == gold,
        "answer": None,
        "flags": [],
        **other,
    }
