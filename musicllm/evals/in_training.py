"""Benchmarks as a training measures them: between two steps, on few questions, to few metrics."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from musicllm.evals.examinee import Examinee
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.evals.materials import Materials
from musicllm.evals.results import Metrics
from musicllm.schema import BenchmarkConfig
from musicllm.train.evaluation import Measure


def measures_in_training(
    specs: Mapping[str, BenchmarkConfig], materials: Materials, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Measure]:
    """Return by name of the benchmark what measures a model between two steps.

    Everything is read here, so that a file that cannot be read costs no training.

    Raises:
        MusicLLMError: as `BenchmarkKind.read` does.
    """

    def measure_of(spec: BenchmarkConfig) -> Measure:
        kind = BENCHMARK_KINDS[spec.kind]
        kind.material(materials, spec)

        def measure(model: PreTrainedModel) -> Metrics:
            examinee = Examinee(lambda: (model, tokenizer), materials)
            metrics = kind.measure(examinee, spec).metrics
            return {name: metrics[name] for name in kind.metrics_in_training if name in metrics}

        return measure

    return {name: measure_of(spec) for name, spec in specs.items()}
