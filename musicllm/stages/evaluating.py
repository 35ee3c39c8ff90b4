"""Benchmarks that a model is asked while it is trained: the same questions every time.

This ties the rooms together that `train` may not know: what `train.evaluation` calls is made here.
Questions are read before the first step, so that a file that cannot be read costs no training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.data.corpus import Corpus
from musicllm.evals import perplexity
from musicllm.evals.questions import draw
from musicllm.evals.results import Metrics
from musicllm.evals.texts import read_texts
from musicllm.inference.likelihood import document_nll
from musicllm.inference.scorer.scorer import Scorer
from musicllm.launch import ranks
from musicllm.model import base
from musicllm.schema import BenchmarkConfig, Config
from musicllm.stages import corpora
from musicllm.stages.asking import choices_of, measure_choices
from musicllm.train.evaluation import Evaluation, Measure

CHOICES = (
    "accuracy", "accuracy_low", "accuracy_high", "accuracy_macro_subject",
    "accuracy_macro_category", "accuracy_by_letter", "agreement", "expected_calibration_error",
    "brier_score", "num_questions", "num_dropped_shots", "num_truncated_prompts", "num_skipped",
    "num_no_letter",
)  # fmt: skip
TEXTS = (
    "perplexity_per_token", "perplexity_per_token_low", "perplexity_per_token_high",
    "word_perplexity", "byte_perplexity", "bits_per_byte", "bits_per_character", "num_documents",
)  # fmt: skip
"""What is logged of each; a subject or a category has too few questions in a sample."""

Maker = Callable[[Config, BenchmarkConfig, PreTrainedTokenizerBase], Measure]


def evaluation_of(config: Config, corpus: Corpus) -> Evaluation:
    """Return what is asked during training.

    Only rank 0 reads the questions, since it alone asks them.

    Raises:
        InputError: questions or texts cannot be read.
        NotAvailableError: they are not here and cannot be downloaded.
    """
    every = config.callbacks.evaluate_every_steps
    assert every is not None, "without a period nothing is asked"
    if not ranks.is_main():
        return Evaluation(every, {})
    tokenizer = base.load_tokenizer(corpus.tokenizer_path)
    measures = {
        name: MAKERS[benchmark.kind](config, benchmark, tokenizer)
        for name, benchmark in config.benchmark.items()
    }
    return Evaluation(every, measures)


def _choices(
    config: Config, benchmark: BenchmarkConfig, tokenizer: PreTrainedTokenizerBase
) -> Measure:
    asked, settings = choices_of(config, benchmark)
    num = config.callbacks.num_eval_questions
    asked = dataclasses.replace(asked, questions=draw(asked.questions, num, config.seed))

    def measure(model: PreTrainedModel) -> Metrics:
        found = measure_choices(Scorer(model), tokenizer, asked, settings, seed=config.seed)
        return _only(CHOICES, found.metrics)

    return measure


def _texts(
    config: Config, benchmark: BenchmarkConfig, tokenizer: PreTrainedTokenizerBase
) -> Measure:
    location = benchmark.location
    assert location is not None, "checks refuse perplexity without texts of its own"
    most = config.callbacks.num_eval_questions
    texts = read_texts(
        benchmark.name,
        location,
        corpora.benchmark_files(config, benchmark),
        benchmark.split,
        min(most, benchmark.num_questions or most),
        benchmark.revision,
    )

    def measure(model: PreTrainedModel) -> Metrics:
        scores = document_nll(Scorer(model), tokenizer, texts, ends=False)
        return _only(TEXTS, perplexity.measure(scores, config.seed, texts))

    return measure


MAKERS: dict[str, Maker] = {
    "multiple_choice": _choices,
    "theory": _choices,
    "perplexity": _texts,
}
"""Kind of benchmark -> what makes a measure of it."""


def _only(names: tuple[str, ...], found: Metrics) -> Metrics:
    return {name: found[name] for name in names if name in found}
