"""Questions with four lettered options, from files: MMLU, MusicTheoryBench and their like."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from musicllm.errors import Problem
from musicllm.evals.kind import BENCHMARK_KINDS, BenchmarkKind, PredictionRows
from musicllm.schema import BenchmarkConfig
from musicllm.schema.keys import settings

if TYPE_CHECKING:
    from musicllm.data.settings import Question
    from musicllm.evals.examinee import Examinee
    from musicllm.evals.materials import Materials
    from musicllm.evals.prompt_settings import PromptSettings
    from musicllm.evals.questions import QuestionSet
    from musicllm.evals.results import BenchmarkResult, Metrics

PROMPT_KEYS = (
    "num_fewshot", "prompt_format", "mode", "add_bos", "as_chat", "max_length", "long_prompts",
    "max_new_tokens",
)  # fmt: skip


class MultipleChoice(BenchmarkKind):
    """Accuracy in questions with lettered options, by lm-evaluation-harness."""

    name = "multiple_choice"
    headline = "accuracy"
    keys: ClassVar[tuple[str, ...]] = ("location", "revision", "subjects", *PROMPT_KEYS)
    metrics_in_training = (
        "accuracy", "accuracy_low", "accuracy_high", "accuracy_macro_subject",
        "accuracy_macro_category", "accuracy_by_letter", "agreement",
        "expected_calibration_error", "brier_score", "num_questions", "num_dropped_shots",
        "num_truncated_prompts", "num_skipped", "num_no_letter",
    )  # fmt: skip  # a subject or a category has too few questions in a sample

    def problems(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield missing questions, and settings of prompts that do not go together."""
        yield from self.problems_of_prompts(spec)
        if spec.location is None:
            yield Problem(f"benchmark.{spec.name}.location", "null", "has no questions")
        if spec.split is None:
            key = f"benchmark.{spec.name}.split"
            yield Problem(key, "null", "names no questions", "write test")

    def problems_of_prompts(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield settings of prompts that are missing or do not go together."""
        key, mode = f"benchmark.{spec.name}", spec.mode
        for name in ("mode", "prompt_format"):
            if getattr(spec, name) is None:
                words = ", ".join(map(str, settings(BenchmarkConfig)[name].choices))
                yield Problem(f"{key}.{name}", "null", f"must be one of {words}")
        if (mode == "generation") != (spec.max_new_tokens is not None):
            value = "null" if spec.max_new_tokens is None else spec.max_new_tokens
            rule = f"does not fit mode={mode}: answers have a length where they are written"
            yield Problem(f"{key}.max_new_tokens", value, rule)
        if spec.prompt_format == "chain_of_thought" and mode != "generation":
            rule = f"does not fit mode={mode}: a thought comes between question and letter"
            fix = "write mode=generation, or opencompass"
            yield Problem(f"{key}.prompt_format", spec.prompt_format, rule, fix)
        if spec.as_chat and mode != "generation":
            rule = f"does not fit mode={mode}: the likelihood of letters is that of plain text"
            yield Problem(f"{key}.as_chat", "true", rule, "write false")
        if spec.long_prompts == "truncate" and mode == "generation":
            rule = "does not fit mode=generation: a chat has to begin with its beginning"
            fix = "write drop_last_shots or skip"
            yield Problem(f"{key}.long_prompts", spec.long_prompts, rule, fix)

    def plan_words(self, spec: BenchmarkConfig) -> list[str]:
        """Return how questions are put."""
        limit = "the model's context" if spec.max_length is None else f"{spec.max_length:,} tokens"
        return [
            f"{spec.num_fewshot}-shot", f"prompts of {spec.prompt_format}", f"mode {spec.mode}",
            f"at most {limit} ({spec.long_prompts})",
        ]  # fmt: skip

    def decontamination_questions(self, spec: BenchmarkConfig, cache: Path) -> Sequence[Question]:
        """Return the questions of every split, examples included.

        The quiz of music theory has none in files: the one made for training never asks them.
        """
        from musicllm.evals.questions import load_questions

        if spec.location is None:
            return ()
        return load_questions(spec.name, spec.location, cache, spec.revision)

    def read(
        self, materials: Materials, spec: BenchmarkConfig
    ) -> tuple[QuestionSet, PromptSettings]:
        """Return the questions, and how they are put to a model.

        Raises:
            InputError: the questions cannot be read, or are too few.
            NotAvailableError: they are not here and cannot be downloaded.
        """
        from musicllm.evals.prompt_settings import PromptSettings
        from musicllm.evals.questions import draw

        question_set = self.read_questions(materials, spec)
        if materials.max_items is not None:
            questions = draw(question_set.questions, materials.max_items, materials.seed)
            question_set = dataclasses.replace(question_set, questions=questions)
        values: dict[str, Any] = {key: getattr(spec, key) for key in PROMPT_KEYS}
        return question_set, PromptSettings(benchmark=spec.name, **values)

    def read_questions(self, materials: Materials, spec: BenchmarkConfig) -> QuestionSet:
        """Return `num_questions` questions of the benchmark, drawn evenly over its subjects."""
        from musicllm.evals.questions import draw, read_benchmark

        assert spec.location is not None, "checks refuse questions from nowhere"
        assert spec.split is not None, "checks refuse questions of no split"
        question_set = read_benchmark(
            spec.name,
            spec.location,
            materials.cache,
            spec.split,
            spec.subjects,
            num_fewshot=spec.num_fewshot,
            revision=spec.revision,
        )
        questions = draw(question_set.questions, spec.num_questions, materials.seed)
        return dataclasses.replace(question_set, questions=questions)

    def notes(self, material: tuple[QuestionSet, PromptSettings]) -> Sequence[str]:
        """Return what is missing of the questions, and what is wrong with single ones."""
        return material[0].notes

    def measure(self, examinee: Examinee, spec: BenchmarkConfig) -> BenchmarkResult:
        """Ask every question."""
        from musicllm.evals.harness.measuring import measure_choices

        question_set, settings = self.material(examinee.materials, spec)
        return measure_choices(
            examinee.scorer,
            examinee.tokenizer,
            question_set,
            settings,
            seed=examinee.materials.seed,
            memoize=examinee.memoize,
        )

    def completeness(
        self, materials: Materials, spec: BenchmarkConfig, metrics: Metrics
    ) -> dict[str, Any]:
        """Return how many of the published questions were asked, with notes and flags."""
        question_set, _ = self.material(materials, spec)
        num_skipped = int(metrics.get("num_skipped") or 0)
        num_asked = len(question_set.questions) - num_skipped
        num_available = question_set.num_published
        is_part = spec.num_questions is not None or spec.subjects or spec.levels or num_skipped
        flags = [
            flag
            for labelled in question_set.questions
            for flag in question_set.flags.get(labelled.question.id, ())
        ]
        return {
            "complete": num_asked == num_available if num_available else not is_part,
            "num_questions": num_asked,
            "num_available": num_available,
            "num_skipped": num_skipped,
            "notes": list(question_set.notes),
            "flags": {flag: flags.count(flag) for flag in dict.fromkeys(flags)},
        }

    def compare(self, before: PredictionRows, after: PredictionRows, seed: int) -> dict[str, Any]:
        """Compare question by question; empty where the two share no question."""
        from musicllm.evals import choices

        comparison = choices.compare(before, after, seed)
        return dataclasses.asdict(comparison) if comparison else {}


KIND = BENCHMARK_KINDS.register(MultipleChoice())
