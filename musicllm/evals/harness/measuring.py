"""Questions with lettered options, put to a model through the harness: rows, metrics and notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from musicllm import console
from musicllm.data.encoder import Encoder
from musicllm.evals import choices
from musicllm.evals.harness.model import Generate, HarnessModel
from musicllm.evals.harness.running import ask
from musicllm.evals.prompt_settings import PromptSettings
from musicllm.evals.questions import QuestionSet
from musicllm.evals.results import BenchmarkResult
from musicllm.inference.sampling import SamplingSettings
from musicllm.inference.scorer.scorer import Memoize, Scorer
from musicllm.inference.shared_sampling import sample_all

WRITTEN_TOGETHER = 16
"""Answers that are written at a time."""


def measure_choices(
    scorer: Scorer,
    tokenizer: PreTrainedTokenizerBase,
    question_set: QuestionSet,
    settings: PromptSettings,
    *,
    seed: int,
    memoize: Memoize | None = None,
) -> BenchmarkResult:
    """Ask a model.

    Args:
        scorer: of the model, which is neither moved nor cast.
        tokenizer: its tokenizer.
        question_set: the questions, all of which are asked.
        settings: how.
        seed: of the resampling for intervals.
        memoize: where finished parts are kept and looked for.

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
) -> Generate | None:
    """Return what writes answers, always with the most likely token, as benchmarks are written."""
    if max_new_tokens is None:
        return None
    likely = SamplingSettings(0, 0, 1, 1, max_new_tokens)

    def write(prompts: Sequence[list[int]], _: Sequence[Mapping[str, Any]]) -> list[str]:
        completions = sample_all(
            scorer.reader.model, Encoder(tokenizer), prompts, likely,
            seed=0, batch_size=WRITTEN_TOGETHER, team=scorer.team, memoize=memoize,
        )  # fmt: skip
        return [completion.text for completion in completions]

    return write
