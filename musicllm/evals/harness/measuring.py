"""Questions with lettered options, put to a model through lm-evaluation-harness, quietly.

The harness builds requests, collects answers and sums up; the model (`model`, or any other of the
harness's) scores or writes. What the scores mean beyond the harness's means is `choices`' matter.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lm_eval.api.model import LM, TemplateLM
from lm_eval.evaluator import evaluate
from lm_eval.utils import handle_non_serializable
from transformers import PreTrainedTokenizerBase

from musicllm import console
from musicllm.data.encoder import Encoder
from musicllm.evals import choices
from musicllm.evals.harness.fitting import CountTokens
from musicllm.evals.harness.model import HarnessModel, WriteTexts
from musicllm.evals.harness.tasks import make_tasks
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.questions import QuestionSet
from musicllm.evals.results import BenchmarkResult
from musicllm.inference.requests import SamplingSettings
from musicllm.inference.scorer.scorer import Memoize, Scorer
from musicllm.inference.shared_sampling import sample_all

GENERATION_BATCH = 16
"""Prompts that are continued together."""


def measure_choices(
    scorer: Scorer,
    tokenizer: PreTrainedTokenizerBase,
    question_set: QuestionSet,
    settings: PromptSettings,
    *,
    seed: int,
    memoize: Memoize | None = None,
) -> BenchmarkResult:
    """Measure a model on questions.

    Args:
        scorer: of the model, which is neither moved nor cast.
        tokenizer: its tokenizer.
        question_set: the questions and examples.
        settings: of the prompts.
        seed: of the resampling for intervals.
        memoize: where finished parts are stored and looked up.

    Raises:
        InputError: a question does not fit into the model, or the tokenizer is not the model's.
    """
    if settings.add_bos and tokenizer.bos_token_id is None:
        console.note(f"{settings.benchmark}: the tokenizer has no mark of the beginning; prompts "
                     "begin without one")  # fmt: skip
    lm = HarnessModel(
        scorer,
        tokenizer,
        add_bos=settings.add_bos,
        whole_prompts=settings.mode == "perplexity",
        max_length=settings.max_length,
        generate=_writer(scorer, tokenizer, settings.max_new_tokens, memoize),
        as_message=_as_message(tokenizer, settings),
        memoize=memoize,
    )
    rows, harness = ask(lm, question_set, settings)
    num_questions = len(question_set.questions)
    num_skipped = num_questions - len(rows)
    if num_skipped:
        console.note(f"{settings.benchmark}: {num_skipped:,} of {num_questions:,} questions "
                     "were not asked, since they are longer than there is room for")  # fmt: skip
    metrics = choices.metrics(rows, seed) | {"num_skipped": num_skipped}
    return BenchmarkResult(metrics, predictions=rows, harness=harness)


def _as_message(
    tokenizer: PreTrainedTokenizerBase, settings: PromptSettings
) -> Callable[[str], list[int]] | None:
    """Return what makes a user's message of a prompt; None where prompts stay plain text."""
    if not settings.as_chat:
        return None
    encoder = Encoder(tokenizer)
    if not tokenizer.chat_template:
        console.note(f"{settings.benchmark}: the tokenizer has no chat template; prompts are texts")
        return None
    return lambda text: encoder.prompt([{"role": "user", "content": text}])


def _writer(
    scorer: Scorer,
    tokenizer: PreTrainedTokenizerBase,
    max_new_tokens: int | None,
    memoize: Memoize | None,
) -> WriteTexts | None:
    """Return what writes answers, always with the most likely token, as benchmarks are written."""
    if max_new_tokens is None:
        return None
    likely = SamplingSettings(0, 0, 1, 1, max_new_tokens)

    def write(prompts: Sequence[list[int]], _: Sequence[Mapping[str, Any]]) -> list[str]:
        completions = sample_all(
            scorer.reader.model, Encoder(tokenizer), prompts, likely,
            seed=0, batch_size=GENERATION_BATCH, team=scorer.team, memoize=memoize,
        )  # fmt: skip
        return [completion.text for completion in completions]

    return write


def ask(
    lm: LM, question_set: QuestionSet, settings: PromptSettings
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the answers to every question.

    Args:
        lm: a model of the harness that encodes text; ours, in perplexity mode.
        question_set: questions, examples and flags.
        settings: of the prompts; the model's context limits `max_length`, too.

    Returns:
        One row per question that fits, in their order (see `predictions.jsonl`), and the harness's
        results without its samples: plain JSON values.

    Raises:
        InputError: there is nothing to ask, or a prompt is too long.
        StageError: the model's likelihoods are not numbers.
    """
    limits = [limit for limit in (settings.max_length, getattr(lm, "max_length", None)) if limit]
    settings = dataclasses.replace(settings, max_length=min(limits, default=None))
    mean_nll = lm.mean_nll if settings.mode == "perplexity" else None
    with _warnings_as_notes():
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


def _counter(lm: LM) -> CountTokens:
    """Return how the model counts tokens; other models than ours encode text by text."""
    if hasattr(lm, "count_tokens"):
        return lm.count_tokens  # type: ignore[no-any-return]
    assert isinstance(lm, TemplateLM), "the harness's other models do not say how they encode"

    def count(texts: Sequence[str]) -> list[int]:
        return [len(lm.tok_encode(text)) for text in texts]

    return count


class _Notes(logging.Handler):
    """Prints the harness's warnings as our own notes."""

    def emit(self, record: logging.LogRecord) -> None:
        console.note(f"lm_eval: {record.getMessage()}")


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Print only the harness's warnings, as our own notes."""
    logger = logging.getLogger("lm_eval")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers, logger.propagate = [_Notes()], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
