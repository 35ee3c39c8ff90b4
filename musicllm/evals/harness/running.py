"""Puts a benchmark's questions to a model through lm-evaluation-harness, quietly.

The harness builds requests, collects answers and sums up; the model (`model`, or any other of the
harness's) scores or writes. What the scores mean beyond the harness's means is `choices`' matter.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lm_eval.api.model import LM, TemplateLM
from lm_eval.evaluator import evaluate
from lm_eval.utils import handle_non_serializable

from musicllm import console
from musicllm.evals.harness.fitting import CountTokens
from musicllm.evals.harness.tasks import make_tasks
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.questions import QuestionSet

PredictionRow = dict[str, Any]


def ask(
    lm: LM, question_set: QuestionSet, settings: PromptSettings
) -> tuple[list[PredictionRow], dict[str, Any]]:
    """Ask every question and return what was answered.

    Args:
        lm: a model of the harness that encodes text; ours, in perplexity mode.
        question_set: questions, examples and flags.
        settings: how to ask; the model's context limits `max_length`, too.

    Returns:
        One row per question that fits, in the order asked (see `predictions.jsonl`), and the
        harness's results without its samples: plain JSON values.

    Raises:
        InputError: there is nothing to ask, or a prompt is too long.
        StageError: the model's likelihoods are not numbers.
    """
    settings = dataclasses.replace(settings, max_length=_limit(lm, settings))
    mean_nll = lm.mean_nll if settings.mode == "perplexity" else None
    with _speaking_through_us():
        tasks = make_tasks(question_set, settings, _counter(lm), mean_nll)
        results = evaluate(lm, tasks, log_samples=True)
    assert results is not None, "the harness sees one process only; the model knows of the others"
    samples = results.pop("samples")
    rows = {
        sample["doc"]["id"]: task.row(sample, question_set.flags.get(sample["doc"]["id"], ()))
        for name, task in tasks["tasks"].items()
        for sample in samples[name]
    }
    plain = json.loads(json.dumps(results, default=handle_non_serializable))
    names = [solved.question.id for solved in question_set.questions]
    return [rows[name] for name in names if name in rows], plain


def _limit(lm: LM, settings: PromptSettings) -> int | None:
    limits = [limit for limit in (settings.max_length, getattr(lm, "max_length", None)) if limit]
    return min(limits, default=None)


def _counter(lm: LM) -> CountTokens:
    """Return how the model counts tokens; other models than ours encode text by text."""
    if hasattr(lm, "count_tokens"):
        return lm.count_tokens  # type: ignore[no-any-return]
    assert isinstance(lm, TemplateLM), "the harness's other models do not say how they encode"

    def count(texts: Sequence[str]) -> list[int]:
        return [len(lm.tok_encode(text)) for text in texts]

    return count


class _Notes(logging.Handler):
    """Shows what the harness warns of as our own notes."""

    def emit(self, record: logging.LogRecord) -> None:
        console.note(f"lm_eval: {record.getMessage()}")


@contextmanager
def _speaking_through_us() -> Iterator[None]:
    """Let the harness say only what it warns of, and in our way, as long as it runs."""
    logger = logging.getLogger("lm_eval")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers, logger.propagate = [_Notes()], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
