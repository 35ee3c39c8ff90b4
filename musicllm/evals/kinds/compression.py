"""The model as a compressor of held-out tunes, beside xz, MIDI and others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from musicllm.evals.kind import BENCHMARK_KINDS, BenchmarkKind
from musicllm.schema import BenchmarkConfig

if TYPE_CHECKING:
    from musicllm.evals.compression import Yardsticks
    from musicllm.evals.examinee import Examinee
    from musicllm.evals.materials import Materials
    from musicllm.evals.results import BenchmarkResult


class Compression(BenchmarkKind):
    """Bits per character and note, beside compressors and formats."""

    name = "compression"
    headline = "ratio_xz"
    keys = ("location", "revision")
    counted = "num_documents"
    items = "documents"
    items_in_plan = "texts"

    def missing_inputs(
        self, spec: BenchmarkConfig, inputs: frozenset[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the corpus: its training texts prime xz, wherever the documents come from."""
        if "corpus" not in inputs:
            yield "corpus", f"benchmark {spec.name} reads its {spec.split} split"

    def read(self, materials: Materials, spec: BenchmarkConfig) -> list[str]:
        """Return the documents."""
        return materials.documents(spec)

    def measure(self, examinee: Examinee, spec: BenchmarkConfig) -> BenchmarkResult:
        """Score the documents, and compress them with everything else once for all models."""
        from musicllm.evals import compression
        from musicllm.evals.results import BenchmarkResult

        materials = examinee.materials
        texts = self.material(materials, spec)

        def make_yardsticks() -> Yardsticks:
            return compression.make_yardsticks(texts, materials.training_texts, materials.seed)

        yardsticks = materials.once(f"yardsticks of {spec.name}", make_yardsticks)
        scores = examinee.document_scores(texts, ends=spec.location is None)
        return BenchmarkResult(compression.compare(scores, texts, yardsticks, materials.seed))


KIND = BENCHMARK_KINDS.register(Compression())
