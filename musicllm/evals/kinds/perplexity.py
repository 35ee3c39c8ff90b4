"""Perplexity of documents: of a corpus's split, or of general texts from files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from musicllm.errors import Problem
from musicllm.evals.kind import BENCHMARK_KINDS, BenchmarkKind, PredictionRows
from musicllm.schema import BenchmarkConfig

if TYPE_CHECKING:
    from musicllm.evals.examinee import Examinee
    from musicllm.evals.materials import Materials
    from musicllm.evals.results import BenchmarkResult


class Perplexity(BenchmarkKind):
    """How probable a model finds documents."""

    name = "perplexity"
    headline = "bits_per_character"
    keys = ("location", "revision")
    counted = "num_documents"
    items = "documents"
    items_in_plan = "texts"
    metrics_in_training = (
        "perplexity_per_token", "perplexity_per_token_low", "perplexity_per_token_high",
        "word_perplexity", "byte_perplexity", "bits_per_byte", "bits_per_character",
        "num_documents",
    )  # fmt: skip

    def missing_inputs(
        self, spec: BenchmarkConfig, inputs: frozenset[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the corpus, where no texts are named."""
        if spec.location is None and "corpus" not in inputs:
            yield "corpus", f"benchmark {spec.name} reads its {spec.split} split"

    def problems_in_training(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield a benchmark without texts of its own."""
        if spec.location is None:
            rule = "names no texts: those of the corpus are what val/loss is about"
            key = f"benchmark.{spec.name}.location"
            yield Problem(key, "null", rule, "use benchmark=[language]")

    def read(self, materials: Materials, spec: BenchmarkConfig) -> list[str]:
        """Return the documents."""
        return materials.documents(spec)

    def measure(self, examinee: Examinee, spec: BenchmarkConfig) -> BenchmarkResult:
        """Score the documents."""
        from musicllm.evals import perplexity
        from musicllm.evals.results import BenchmarkResult

        texts = self.material(examinee.materials, spec)
        # the end of a tune belongs to it; of other texts it says nothing
        scores = examinee.document_scores(texts, ends=spec.location is None)
        metrics = perplexity.measure(scores, examinee.materials.seed, texts)
        return BenchmarkResult(metrics, predictions=perplexity.document_rows(scores, texts))

    def compare(self, before: PredictionRows, after: PredictionRows, seed: int) -> dict[str, Any]:
        """Return what the model forgot of what the baseline knew."""
        from musicllm.evals import perplexity

        return dict(perplexity.forgetting(before, after, seed))


KIND = BENCHMARK_KINDS.register(Perplexity())
