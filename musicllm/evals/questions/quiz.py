"""The quiz of music theory by rules, as questions of a benchmark."""

from __future__ import annotations

from musicllm import theory
from musicllm.data.settings import Question
from musicllm.evals.questions.rows import LabelledQuestion


def solved(benchmark: str, each: theory.TheoryQuestion, split: str) -> LabelledQuestion:
    """Return a question of the quiz in the form that all benchmarks have.

    Args:
        benchmark: its name.
        each: the question.
        split: `test` for what is asked, `dev` for what is shown.
    """
    question = Question(benchmark, each.id, each.stem, each.options, each.abc_score or None)
    return LabelledQuestion(question, each.answer, each.subject, split, level=each.level)
