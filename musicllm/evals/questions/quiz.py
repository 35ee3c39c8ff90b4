"""The quiz of music theory by rules, as questions of a benchmark."""

from __future__ import annotations

from musicllm import theory
from musicllm.data.settings import Question
from musicllm.evals.questions.rows import LabelledQuestion


def solved(benchmark: str, question: theory.TheoryQuestion, split: str) -> LabelledQuestion:
    """Return a question of the quiz in the form that all benchmarks have.

    Args:
        benchmark: its name.
        question: as the quiz makes it.
        split: `test` for questions, `dev` for examples.
    """
    score = question.abc_score or None
    return LabelledQuestion(
        Question(benchmark, question.id, question.stem, question.options, score),
        question.answer,
        question.subject,
        split,
        level=question.level,
    )
