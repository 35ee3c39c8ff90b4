"""Questions with choices about the clips of a corpus's split."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from musicllm.evals.kind import BENCHMARK_KINDS, BenchmarkKind, PredictionRows
from musicllm.schema import BenchmarkConfig

if TYPE_CHECKING:
    from musicllm.evals.audio_questions import AudioQuestion
    from musicllm.evals.examinee import Examinee
    from musicllm.evals.materials import Materials
    from musicllm.evals.results import BenchmarkResult

Material = tuple["list[AudioQuestion]", "dict[str, str]"]


class AudioQuestions(BenchmarkKind):
    """Accuracy in questions about audio, by kind of question."""

    name = "audio_questions"
    headline = "accuracy"

    def missing_inputs(
        self, spec: BenchmarkConfig, inputs: frozenset[str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the corpus, whose records are the questions."""
        if "corpus" not in inputs:
            yield "corpus", f"benchmark {spec.name} asks about the clips of its {spec.split} split"

    def read(self, materials: Materials, spec: BenchmarkConfig) -> Material:
        """Return the questions, and the most frequent answers among the training records.

        Raises:
            InputError: the split has no question with choices about a clip.
        """
        from musicllm.errors import InputError
        from musicllm.evals.audio_questions import most_frequent, read_questions

        corpus, split = materials.corpus("corpus"), materials.split(spec)
        questions = read_questions(corpus.records(split))
        if not questions:
            raise InputError(
                f"benchmark.{spec.name}: the {split} split of {corpus.path} has no questions about "
                f"audio, records with features, task and conditions.choices"
            )
        return questions[: spec.num_questions], most_frequent(
            read_questions(corpus.records("train"))
        )

    def measure(self, examinee: Examinee, spec: BenchmarkConfig) -> BenchmarkResult:
        """Let the model choose an answer to every question."""
        from musicllm import artifacts
        from musicllm.data.features import FeatureStore
        from musicllm.evals import audio_questions
        from musicllm.evals.results import BenchmarkResult

        questions, usual = self.material(examinee.materials, spec)
        inputs = examinee.materials.inputs
        store = None
        if "features" in inputs:
            store = FeatureStore.open(artifacts.read(inputs["features"], "features"))
        answers = audio_questions.answer_all(examinee, questions, store)
        metrics, rows = audio_questions.measure(questions, answers, usual, examinee.materials.seed)
        return BenchmarkResult(metrics, predictions=rows)

    def compare(self, before: PredictionRows, after: PredictionRows, seed: int) -> dict[str, Any]:
        """Return how much more often the model is right than the baseline."""
        from musicllm.evals import audio_questions

        return audio_questions.compare(before, after, seed)


KIND = BENCHMARK_KINDS.register(AudioQuestions())
