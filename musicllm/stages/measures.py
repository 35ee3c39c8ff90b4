"""The benchmarks of `evaluate`: settings and artifacts in, outcomes of the eval room out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

from torch import nn
from transformers import PreTrainedTokenizerBase

from musicllm.data.encoder import Encoder
from musicllm.evals import compression, generation, perplexity
from musicllm.evals.partial import Partial
from musicllm.evals.results import Outcome
from musicllm.inference.likelihood import DocumentScore, document_nll
from musicllm.inference.scorer.scorer import Scorer
from musicllm.inference.writing import write_all
from musicllm.job import Job
from musicllm.launch import ranks
from musicllm.schema import BenchmarkConfig
from musicllm.stages.asking import measure_choices
from musicllm.stages.materials import Materials
from musicllm.stages.models import load_model
from musicllm.stages.settings import sampling_settings
from musicllm.train import group

SAMPLED_TOGETHER = 32


class Processes:
    """All processes of this run, each with a copy of the model."""

    rank = property(lambda _: ranks.rank())
    size = property(lambda _: ranks.world_size())

    def gather(self, value: Any) -> list[Any]:
        """Return what every process has."""
        return group.gather(value)


class Examinee:
    """A model under test; its weights are read when the first measurement needs them."""

    def __init__(self, job: Job, role: str, materials: Materials, partial: Partial) -> None:
        self.config = job.config
        self.materials = materials
        self._job = job
        self._role = role
        self._partial = partial

    @cached_property
    def _parts(self) -> tuple[nn.Module, PreTrainedTokenizerBase]:
        return load_model(self._job, self._role)

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self._parts[1]

    @cached_property
    def scorer(self) -> Scorer:
        """What scores texts under it."""
        return Scorer(self._parts[0], Processes())

    def kept(self, name: str, measure: Callable[[], Any]) -> Any:
        """Return what an interrupted run measured of this model, or measure and keep it."""
        return self._partial.get(f"{self._role}-{name}", measure)

    def scores(self, benchmark: BenchmarkConfig) -> list[DocumentScore]:
        """Return the likelihood of a benchmark's documents."""
        texts = self.materials.documents(benchmark)
        ends = benchmark.location is None  # a tune does; of other texts it says nothing
        return document_nll(self.scorer, self.tokenizer, texts, ends=ends, kept=self.kept)


def measure_perplexity(examinee: Examinee, benchmark: BenchmarkConfig) -> Outcome:
    """Perplexity of the documents of a split, or of general texts."""
    texts, scores = examinee.materials.documents(benchmark), examinee.scores(benchmark)
    metrics = perplexity.measure(scores, examinee.config.seed, texts)
    return Outcome(metrics, predictions=perplexity.document_rows(scores, texts))


def measure_compression(examinee: Examinee, benchmark: BenchmarkConfig) -> Outcome:
    """Bits per character and note, beside compressors and formats."""
    texts, seed = examinee.materials.documents(benchmark), examinee.config.seed
    marks = examinee.materials.yardsticks(benchmark)
    return Outcome(compression.compare(examinee.scores(benchmark), texts, marks, seed))


def measure_questions(examinee: Examinee, benchmark: BenchmarkConfig) -> Outcome:
    """Accuracy in questions with lettered options."""
    asked, settings = examinee.materials.questions(benchmark)
    scorer, seed = examinee.scorer, examinee.config.seed
    return measure_choices(
        scorer, examinee.tokenizer, asked, settings, seed=seed, kept=examinee.kept
    )


def measure_generation(examinee: Examinee, benchmark: BenchmarkConfig) -> Outcome:
    """Validity of tunes that the model writes on request."""
    config, materials = examinee.config, examinee.materials
    encoder = Encoder(examinee.tokenizer)
    requests = materials.requests(benchmark)
    written = write_all(
        examinee.scorer.reader.model,
        encoder,
        [encoder.prompt([{"role": "user", "content": each.prompt}]) for each in requests],
        sampling_settings(config),
        seed=config.seed,
        batch_size=SAMPLED_TOGETHER,
        team=examinee.scorer.team,
        kept=examinee.kept,
    )
    texts, finished = [one.text for one in written], [one.finished for one in written]
    return generation.measure(requests, texts, finished, materials.copy_index, config.seed)


def measure_reference(materials: Materials, benchmark: BenchmarkConfig, seed: int) -> Outcome:
    """The same measurements on the tunes that people wrote, from which the requests were made."""
    requests = materials.requests(benchmark)
    texts, finished = [each.reference for each in requests], [True] * len(requests)
    return generation.measure(requests, texts, finished, materials.copy_index, seed)


MEASURES: dict[str, Callable[[Examinee, BenchmarkConfig], Outcome]] = {
    "multiple_choice": measure_questions,
    "theory": measure_questions,
    "perplexity": measure_perplexity,
    "compression": measure_compression,
    "generation": measure_generation,
}
"""Kind of benchmark -> how a model is measured."""
