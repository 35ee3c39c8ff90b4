"""The data of the benchmarks of a run, read once for all models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from musicllm import console
from musicllm.data.corpus import Corpus
from musicllm.errors import ArtifactError, ConfigError, InputError, Problem
from musicllm.evals.copies import CopyIndex
from musicllm.evals.texts import read_texts
from musicllm.inference.requests import SamplingSettings
from musicllm.schema import BenchmarkConfig

MAX_TRAINING_CHARACTERS = 20_000_000
"""Training text that primes xz and is searched for copies, which takes about 1.2 GB."""

Value = TypeVar("Value")


class Materials:
    """The data of benchmarks, and what they all need to know of a run.

    Attributes:
        inputs: folders of artifacts by role.
        cache: folder of downloads.
        seed: of draws and of the resampling for intervals.
        sampling: settings of the sampling.
        max_items: measured of a benchmark at most, during training; None: as many as it says.
    """

    def __init__(
        self,
        *,
        inputs: Mapping[str, Path],
        cache: Path,
        seed: int,
        sampling: SamplingSettings,
        max_items: int | None = None,
    ) -> None:
        self.inputs = inputs
        self.cache = cache
        self.seed = seed
        self.sampling = sampling
        self.max_items = max_items
        self._values: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Value]) -> Value:
        """Return the value of this name, made by the first call."""
        if name not in self._values:
            self._values[name] = make()
        value: Value = self._values[name]
        return value

    def corpus(self, role: str) -> Corpus:
        """Open an input.

        Raises:
            ArtifactError: there is none of this role, or it is no corpus.
        """
        if role not in self.inputs:
            raise ArtifactError(
                f"inputs.{role} is not set, and a benchmark needs it; "
                f"write inputs.{role}=<recipe name or folder of a finished run>"
            )
        return Corpus.open(self.inputs[role])

    def split(self, spec: BenchmarkConfig) -> str:
        """Return the split of the corpus that a benchmark reads.

        Raises:
            ConfigError: it names none.
        """
        if spec.split is None:
            key = f"benchmark.{spec.name}.split"
            raise ConfigError([Problem(key, "null", "names no documents", "write test")])
        return spec.split

    def documents(self, spec: BenchmarkConfig) -> list[str]:
        """Read texts from `location`, or of the corpus's split; as many of the first as it says.

        Raises:
            ConfigError: the benchmark names no split of the corpus.
            InputError: the corpus holds conversations, or nothing in this split; or `read_texts`.
            NotAvailableError: the texts are not here and cannot be downloaded.
        """
        limits = [limit for limit in (spec.num_questions, self.max_items) if limit is not None]
        limit = min(limits, default=None)
        if spec.location is not None:
            return read_texts(
                spec.name,
                spec.location,
                self.cache,
                spec.split,
                num_texts=limit,
                revision=spec.revision,
            )
        corpus = self.corpus("corpus")
        records = list(corpus.records(self.split(spec)))[:limit]
        if not records or "text" not in records[0]:
            content = "conversations, not texts," if records else "no documents"
            raise InputError(
                f"{corpus.path} has {content} in its {spec.split} split; benchmark "
                f"{spec.name} needs texts: write inputs.corpus=<a corpus of tunes>"
            )
        return [record["text"] for record in records]

    @cached_property
    def training_texts(self) -> list[str]:
        """The first MAX_TRAINING_CHARACTERS of what was trained on: tunes, or else answers."""
        texts: list[str] = []
        size = 0
        corpus = self.corpus("corpus" if "corpus" in self.inputs else "instructions")
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
        """The index of the training texts that is searched for copies."""
        return CopyIndex(self.training_texts)
