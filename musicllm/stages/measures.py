"""The benchmarks of `evaluate`: settings and artifacts in, outcomes of the eval room out."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from functools import cached_property
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.data.encoder import Encoder
from musicllm.data.records import Record
from musicllm.errors import ConfigError, InputError, Problem
from musicllm.evals import compression, generation, perplexity, theory
from musicllm.evals.copies import CopyIndex
from musicllm.evals.likelihood import DocumentScore, document_nll
from musicllm.evals.partial import Partial
from musicllm.evals.requests import asks_for_tune
from musicllm.evals.results import Outcome
from musicllm.job import Job
from musicllm.schema import BenchmarkConfig
from musicllm.serve.sampling import SamplingSettings, sample
from musicllm.stages.models import load_model

MAX_TRAINING_CHARACTERS = 20_000_000
"""Training text that xz is primed with and copies are looked for in, which takes about 1.2 GB."""

SAMPLED_TOGETHER = 32


class Inputs:
    """The documents, prompts and training tunes of a job."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def documents(self, benchmark: BenchmarkConfig) -> list[str]:
        """Return the texts of the benchmark's split, or as many of the first as it asks for.

        Raises:
            ConfigError: the benchmark names no split.
            InputError: the corpus holds conversations, or nothing in this split.
        """
        corpus = self._corpus("corpus")
        records = list(corpus.records(_split(benchmark)))[: benchmark.num_questions]
        if not records or "text" not in records[0]:
            found = "conversations, not texts," if records else "no documents"
            raise InputError(
                f"{corpus.path} has {found} in its {benchmark.split} split; benchmark "
                f"{benchmark.name} needs texts: write inputs.corpus=<a corpus of tunes>"
            )
        return [record["text"] for record in records]

    def conversations(self, benchmark: BenchmarkConfig) -> list[Record]:
        """Draw conversations from the instructions; all when the benchmark names no number.

        Raises:
            ConfigError: the benchmark names no split.
            InputError: there are none in this split.
        """
        corpus = self._corpus("instructions")
        records = [record for record in corpus.records(_split(benchmark)) if asks_for_tune(record)]
        if not records:
            raise InputError(
                f"{corpus.path} has no requests for tunes in its {benchmark.split} split; "
                f"benchmark {benchmark.name} needs them: write "
                f"inputs.instructions=<an instruction corpus>"
            )
        wanted = len(records) if benchmark.num_questions is None else benchmark.num_questions
        if wanted > len(records):
            console.note(f"{benchmark.name}: {len(records)} prompts instead of {wanted} exist")
            wanted = len(records)
        return random.Random(self._job.config.seed).sample(records, wanted)

    @cached_property
    def training_texts(self) -> list[str]:
        """The first MAX_TRAINING_CHARACTERS of what was trained on: tunes, or else answers."""
        texts: list[str] = []
        size = 0
        corpus = self._corpus("corpus" if "corpus" in self._job.inputs else "instructions")
        for record in corpus.records("train"):
            text = record["text"] if "text" in record else record["messages"][-1]["content"]
            size += len(text)
            if size > MAX_TRAINING_CHARACTERS:
                console.note(f"only the first {len(texts):,} training texts go to xz and copies")
                break
            texts.append(text)
        return texts

    @cached_property
    def copy_index(self) -> CopyIndex:
        """Where copies are looked for."""
        return CopyIndex(self.training_texts)

    def _corpus(self, role: str) -> Corpus:
        return Corpus.open(self._job.input(role).path)


def _split(benchmark: BenchmarkConfig) -> str:
    if benchmark.split is None:
        key = f"benchmark.{benchmark.name}.split"
        raise ConfigError([Problem(key, "null", "names no documents", "write test")])
    return benchmark.split


class Subject:
    """A model under test; its weights are read when the first measurement needs them."""

    def __init__(self, job: Job, role: str, inputs: Inputs, partial: Partial) -> None:
        self.config = job.config
        self.inputs = inputs
        self._job = job
        self._role = role
        self._partial = partial

    @cached_property
    def parts(self) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """The model and its tokenizer."""
        return load_model(self._job, self._role)

    def scores(self, benchmark: BenchmarkConfig) -> list[DocumentScore]:
        """Return the likelihood of a benchmark's documents, measured once for all benchmarks."""
        size = "all" if benchmark.num_questions is None else benchmark.num_questions
        kept = self._partial.get(
            f"{self._role}-documents-{benchmark.split}-{size}", lambda: self._scores(benchmark)
        )
        return [DocumentScore(**score) for score in kept]

    def _scores(self, benchmark: BenchmarkConfig) -> list[dict[str, Any]]:
        scores = document_nll(*self.parts, self.inputs.documents(benchmark))
        return [dataclasses.asdict(score) for score in scores]


def measure_perplexity(subject: Subject, benchmark: BenchmarkConfig) -> Outcome:
    """Perplexity of the documents of a split."""
    return Outcome(perplexity.measure(subject.scores(benchmark), subject.config.seed))


def measure_compression(subject: Subject, benchmark: BenchmarkConfig) -> Outcome:
    """Bits per character beside xz, gzip and bzip2."""
    inputs, seed = subject.inputs, subject.config.seed
    texts = inputs.documents(benchmark)
    scores = subject.scores(benchmark)
    return Outcome(compression.measure(scores, texts, inputs.training_texts, seed))


def measure_theory(subject: Subject, benchmark: BenchmarkConfig) -> Outcome:
    """Accuracy in the quiz of music theory."""
    seed = subject.config.seed
    quiz = theory.make_quiz(benchmark.num_questions, seed, benchmark.num_fewshot)
    return theory.measure(*subject.parts, *quiz)


def measure_generation(subject: Subject, benchmark: BenchmarkConfig) -> Outcome:
    """Validity of tunes that the model writes on request."""
    config = subject.config
    model, tokenizer = subject.parts
    records = subject.inputs.conversations(benchmark)
    encoder = Encoder(tokenizer)
    prompts = [encoder.prompt(record["messages"][:-1]) for record in records]
    names = [field.name for field in dataclasses.fields(SamplingSettings)]
    with console.progress("writing tunes", len(prompts), "tune") as advance:
        completions = sample(
            model,
            encoder,
            prompts,
            SamplingSettings(**{name: getattr(config.generation, name) for name in names}),
            seed=config.seed,
            batch_size=SAMPLED_TOGETHER,
            progress=advance,
        )
    return generation.measure(
        [record["messages"][-2]["content"] for record in records],
        [completion.text for completion in completions],
        [completion.finished for completion in completions],
        subject.inputs.copy_index,
        config.seed,
    )


def measure_reference(job: Job, inputs: Inputs, benchmark: BenchmarkConfig) -> Outcome:
    """The same measurements on the answers that the tunes' own writers gave."""
    records = inputs.conversations(benchmark)
    return generation.measure(
        [record["messages"][-2]["content"] for record in records],
        [record["messages"][-1]["content"] for record in records],
        [True] * len(records),
        inputs.copy_index,
        job.config.seed,
    )


MEASURES: dict[str, Callable[[Subject, BenchmarkConfig], Outcome]] = {
    "perplexity": measure_perplexity,
    "compression": measure_compression,
    "theory": measure_theory,
    "generation": measure_generation,
}
"""Kind of benchmark -> how a model is measured."""
