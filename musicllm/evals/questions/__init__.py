"""The questions of benchmarks, one form for all: MMLU, MusicTheoryBench, our own theory quiz.

`rows` reads them, `flags` marks faulty ones, `benchmark` puts questions and examples together or
draws some of them, and `notes` says what is missing. No model is involved.
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
