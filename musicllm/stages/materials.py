"""What benchmarks measure on: documents, requests, questions, and the tunes that were trained on.

Everything is read once, however many models are measured.
"""

from __future__ import annotations

import random
from functools import cached_property

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.errors import ConfigError, InputError, Problem
from musicllm.evals import compression
from musicllm.evals.ask import AskSettings
from musicllm.evals.copies import CopyIndex
from musicllm.evals.generation import make_requests, request_of
from musicllm.evals.questions import Asked
from musicllm.evals.requests import Request, asks_for_tune, find_tune
from musicllm.evals.texts import read_texts
from musicllm.job import Job
from musicllm.schema import BenchmarkConfig
from musicllm.stages import corpora
from musicllm.stages.asking import choices_of

MAX_TRAINING_CHARACTERS = 20_000_000
"""Training text that xz is primed with and copies are looked for in, which takes about 1.2 GB."""


class Materials:
    """What the benchmarks of a job measure on."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._documents: dict[str, list[str]] = {}
        self._questions: dict[str, tuple[Asked, AskSettings]] = {}
        self._requests: dict[str, list[Request]] = {}
        self._yardsticks: dict[str, compression.Yardsticks] = {}

    def check(self, benchmark: BenchmarkConfig) -> None:
        """Read what a benchmark measures on, so that what is wrong shows before a model is read."""
        if benchmark.kind in ("multiple_choice", "theory"):
            asked, _ = self.questions(benchmark)
            for note in asked.notes:
                console.note(f"{benchmark.name}: {note}")
        elif benchmark.kind == "generation":
            self.requests(benchmark)
        else:
            self.documents(benchmark)

    def documents(self, benchmark: BenchmarkConfig) -> list[str]:
        """Return the texts of the benchmark's split, or as many of the first as it asks for.

        Raises:
            ConfigError: the benchmark names no split.
            InputError: the corpus holds conversations, or nothing in this split.
        """
        if benchmark.name not in self._documents:
            read = self._corpus_texts if benchmark.location is None else self._general_texts
            self._documents[benchmark.name] = read(benchmark)
        return self._documents[benchmark.name]

    def questions(self, benchmark: BenchmarkConfig) -> tuple[Asked, AskSettings]:
        """Return the questions of a benchmark, and how they are asked; see `asking`."""
        if benchmark.name not in self._questions:
            self._questions[benchmark.name] = choices_of(self._job.config, benchmark)
        return self._questions[benchmark.name]

    def requests(self, benchmark: BenchmarkConfig) -> list[Request]:
        """Return requests for tunes: made of held-out ones, or instructions.

        Raises:
            ConfigError: the benchmark names no split.
            InputError: there is none in this split.
        """
        if benchmark.name not in self._requests:
            made = self._made(benchmark) if benchmark.subjects else self._instructed(benchmark)
            self._requests[benchmark.name] = made
        return self._requests[benchmark.name]

    def yardsticks(self, benchmark: BenchmarkConfig) -> compression.Yardsticks:
        """Return what other compressors and formats make of a benchmark's documents."""
        if benchmark.name not in self._yardsticks:
            texts, seed = self.documents(benchmark), self._job.config.seed
            made = compression.make_yardsticks(texts, self.training_texts, seed)
            self._yardsticks[benchmark.name] = made
        return self._yardsticks[benchmark.name]

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

    def _corpus_texts(self, benchmark: BenchmarkConfig) -> list[str]:
        corpus = self._corpus("corpus")
        records = list(corpus.records(_split(benchmark)))[: benchmark.num_questions]
        if not records or "text" not in records[0]:
            found = "conversations, not texts," if records else "no documents"
            raise InputError(
                f"{corpus.path} has {found} in its {benchmark.split} split; benchmark "
                f"{benchmark.name} needs texts: write inputs.corpus=<a corpus of tunes>"
            )
        return [record["text"] for record in records]

    def _general_texts(self, benchmark: BenchmarkConfig) -> list[str]:
        location = benchmark.location
        assert location is not None, "texts of the corpus are read elsewhere"
        folder = corpora.benchmark_files(self._job.config, benchmark)
        return read_texts(
            benchmark.name, location, folder, benchmark.split, benchmark.num_questions,
            benchmark.revision,
        )  # fmt: skip

    def _made(self, benchmark: BenchmarkConfig) -> list[Request]:
        role = "corpus" if "corpus" in self._job.inputs else "instructions"
        tunes = [_tune(record) for record in self._corpus(role).records(_split(benchmark))]
        made = make_requests(
            list(dict.fromkeys(tunes)), benchmark.subjects, benchmark.num_questions,
            self._job.config.seed,
        )  # fmt: skip
        _note_fewer(benchmark, len(made))
        return made

    def _instructed(self, benchmark: BenchmarkConfig) -> list[Request]:
        corpus = self._corpus("instructions")
        records = [record for record in corpus.records(_split(benchmark)) if asks_for_tune(record)]
        if not records:
            raise InputError(
                f"{corpus.path} has no requests for tunes in its {benchmark.split} split; "
                f"benchmark {benchmark.name} needs them: write "
                f"inputs.instructions=<an instruction corpus>, or requests made from tunes: "
                f"benchmark.{benchmark.name}.subjects=[metadata,chords,motif,form,first_bars]"
            )
        _note_fewer(benchmark, len(records))
        wanted = min(len(records), benchmark.num_questions or len(records))
        drawn = random.Random(self._job.config.seed).sample(records, wanted)
        return [request_of(record) for record in drawn]


def _tune(record: dict[str, object]) -> str:
    """Return the tune of a record: its text, or that in its answer."""
    if "text" in record:
        return str(record["text"])
    messages = record["messages"]
    assert isinstance(messages, list), "a record has a text or messages"
    return find_tune(messages[-1]["content"])


def _note_fewer(benchmark: BenchmarkConfig, found: int) -> None:
    if benchmark.num_questions is not None and found < benchmark.num_questions:
        wanted = benchmark.num_questions
        console.note(f"{benchmark.name}: {found} prompts instead of {wanted} exist")


def _split(benchmark: BenchmarkConfig) -> str:
    if benchmark.split is None:
        key = f"benchmark.{benchmark.name}.split"
        raise ConfigError([Problem(key, "null", "names no documents", "write test")])
    return benchmark.split
