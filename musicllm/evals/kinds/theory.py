"""The quiz of music theory by rules: multiple choice whose questions are made here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from musicllm.errors import Problem
from musicllm.evals.kind import BENCHMARK_KINDS
from musicllm.evals.kinds.multiple_choice import PROMPT_KEYS, MultipleChoice
from musicllm.schema import BenchmarkConfig

if TYPE_CHECKING:
    from musicllm.evals.materials import Materials
    from musicllm.evals.questions import QuestionSet


class Theory(MultipleChoice):
    """Accuracy in questions of music theory."""

    name = "theory"
    keys = ("subjects", "levels", *PROMPT_KEYS)
    origin_in_plan = "made here"

    def problems(self, spec: BenchmarkConfig) -> Iterator[Problem]:
        """Yield settings of prompts that do not go together."""
        return self.problems_of_prompts(spec)

    def read_questions(self, materials: Materials, spec: BenchmarkConfig) -> QuestionSet:
        """Make the questions, and the examples before them."""
        from musicllm import theory
        from musicllm.evals.questions import QuestionSet, quiz

        test_questions, examples = theory.make_quiz(
            spec.num_questions,
            materials.seed,
            spec.num_fewshot,
            split=spec.split or "test",
            families=spec.subjects,
            levels=spec.levels,
        )
        questions = tuple(quiz.solved(spec.name, question, "test") for question in test_questions)
        labelled_examples = tuple(quiz.solved(spec.name, question, "dev") for question in examples)
        return QuestionSet(
            questions,
            {question.subject: labelled_examples for question in questions},
            num_published=len(theory.test_questions()),
        )


KIND = BENCHMARK_KINDS.register(Theory())
