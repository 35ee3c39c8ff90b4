"""What a kind of benchmark provides, and the registry of all kinds.

A kind is one module in `musicllm/evals/kinds/`, or in a folder of the user's own (`extensions=`),
with one registration. Checks, plans, preparation, evaluation, training and reports ask it.
Importing a kind has to be cheap: torch, transformers, lm_eval and numpy are imported in methods.
"""

# ruff: noqa: ARG002  # what a kind provides, unless it overrides it, needs no arguments

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.errors import Problem
from musicllm.registry import Registry
from musicllm.schema import BenchmarkConfig

if TYPE_CHECKING:
    from musicllm.data.settings import Question
    from musicllm.evals.examinee import Examinee
    from musicllm.evals.materials import Materials
    from musicllm.evals.results import BenchmarkResult, Metrics

PredictionRows = Sequence[Mapping[str, Any]]


class BenchmarkKind:
    """A kind of benchmark; it overrides what differs from this.

    Attributes:
        name: what `benchmark.<name>.kind` says.
        headline: the metric that sums the benchmark up.
        keys: settings that it reads, beside `split` and `num_questions`; others are refused where
            they differ from conf/measurement/default.yaml. `options` is for a kind of your own.
        counted: the metric that says how many items were measured.
        items: what these are, in tables.
        items_in_plan: likewise, in plans.
        origin_in_plan: where they come from if `location` names nothing.
        measures_baseline: whether `inputs.baseline` is measured, too.
        metrics_in_training: metrics that a training logs; empty: a training does not measure it.
    """

    name: ClassVar[str]
    headline: ClassVar[str]
    keys: ClassVar[tuple[str, ...]] = ()
    counted: ClassVar[str] = "num_questions"
    items: ClassVar[str] = "questions"
    items_in_plan: ClassVar[str] = "questions"
    origin_in_plan: ClassVar[str] = "from the inputs"
    measures_baseline: ClassVar[bool] = True
    metrics_in_training: ClassVar[tuple[str, ...]] = ()

    def problems(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield settings that break a rule of this kind; nothing is read yet."""
        return iter(())

    def missing_inputs(
        self, spec: BenchmarkConfig, inputs: frozenset[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield roles of `inputs` that an evaluation lacks, and why it needs them."""
        return iter(())

    def problems_in_training(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield why a training cannot measure this benchmark."""
        if not self.metrics_in_training:
            yield Problem(
                f"benchmark.{spec.name}",
                self.name,
                "is measured on a finished model",
                "leave it out, and use task=evaluate afterwards",
            )

    def plan_words(self, spec: BenchmarkConfig) -> list[str]:
        """Return what a plan says beside the number of items, the split and the subjects."""
        return []

    def decontamination_questions(self, spec: BenchmarkConfig, cache: Path) -> Sequence[Question]:
        """Return questions that preparation keeps out of a corpus.

        Args:
            spec: the benchmark.
            cache: folder of downloads.
        """
        return ()

    def read(self, materials: Materials, spec: BenchmarkConfig) -> Any:
        """Read what is measured on, such as questions.

        It is read before the first model, so that a file that cannot be read costs no time.
        """
        return None

    def material(self, materials: Materials, spec: BenchmarkConfig) -> Any:
        """Return what `read` returns, read once in a run."""
        return materials.once(spec.name, lambda: self.read(materials, spec))

    def notes(self, material: Any) -> Sequence[str]:
        """Return what a reader of the results should know of what `read` returned."""
        return ()

    def measure(self, examinee: Examinee, spec: BenchmarkConfig) -> BenchmarkResult:
        """Measure a model, finished or in training.

        Every number in a row of `predictions` that is named like a metric is compared item by item
        between models, if the rows have an `item_id` (see `report.paired`).
        """
        raise NotImplementedError(f"kind of benchmark {self.name} has no measure")

    def measure_reference(
        self, materials: Materials, spec: BenchmarkConfig
    ) -> BenchmarkResult | None:
        """Measure what people wrote in the same way; None where there is nothing of theirs."""
        return None

    def completeness(
        self, materials: Materials, spec: BenchmarkConfig, metrics: Metrics
    ) -> dict[str, Any]:
        """Return how much of the benchmark was measured, for `benchmarks` of results.json.

        Args:
            materials: what was read.
            spec: the benchmark.
            metrics: of the model.
        """
        count, limit = metrics[self.counted], spec.num_questions
        is_complete = limit is None or (count is not None and count < limit)
        return {"complete": is_complete, "num_questions": count, "num_available": None}

    def compare(
        self, before: PredictionRows, after: PredictionRows, seed: int
    ) -> dict[str, Any] | None:
        """Compare the model with the baseline, for `comparisons` of results.json.

        Args:
            before: rows of the baseline's predictions.
            after: rows of the model's.
            seed: of the resampling.
        """
        return None


BENCHMARK_KINDS: Registry[BenchmarkKind] = Registry("kind of benchmark", "musicllm.evals.kinds")


def subset_words(facts: Mapping[str, Any]) -> str:
    """Return `subset: 570 of 14,042 questions` for an incomplete benchmark, else nothing.

    Args:
        facts: of a benchmark, as under `benchmarks` in results.json: `complete`, `num_questions`,
            and where they are there `num_available`, `num_skipped` (too long) and `kind`.
    """
    if facts["complete"]:
        return ""
    of_all = f" of {facts['num_available']:,}" if facts.get("num_available") else ""
    kind = BENCHMARK_KINDS.get(facts.get("kind", ""), BenchmarkKind())
    skipped = facts.get("num_skipped")
    too_long = f", {skipped:,} too long" if skipped else ""
    return f"subset: {facts['num_questions']:,}{of_all} {kind.items}{too_long}"
