"""The questions of benchmarks, one form for all: MMLU, MusicTheoryBench, our own theory quiz.

`rows` reads them, `flags` finds what is wrong with single ones, `benchmark` puts together what is
asked and what is shown before it, or takes a part of them; `notes` says what is missing.
Nothing is asked or scored here.
"""

from musicllm.evals.questions.benchmark import QuestionSet, draw, read_benchmark
from musicllm.evals.questions.rows import LabelledQuestion, load_questions, read_solved
from musicllm.theory import LETTERS

__all__ = [
    "LETTERS",
    "LabelledQuestion",
    "QuestionSet",
    "draw",
    "load_questions",
    "read_benchmark",
    "read_solved",
]
