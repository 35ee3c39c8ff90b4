"""A quiz of music theory whose questions and answers are computed by rules.

`spelling` is the arithmetic of note names and `staff` that of written notes, `families` states
facts as questions, `split` tells test from training, `quiz` draws balanced sets, `training` makes
conversations of them. `python -m musicllm.theory` writes either as JSON lines.
"""

from musicllm.theory.drafts import LEVELS
from musicllm.theory.families import FAMILIES
from musicllm.theory.question import LETTERS, Question
from musicllm.theory.quiz import make_quiz, test_questions, train_questions
from musicllm.theory.training import training_records

__all__ = [
    "FAMILIES",
    "LETTERS",
    "LEVELS",
    "Question",
    "make_quiz",
    "test_questions",
    "train_questions",
    "training_records",
]
