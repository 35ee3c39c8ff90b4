"""Multiple-choice questions of music theory, computed by rules.

`spelling` is the arithmetic of note names and `staff` of notation, `families` generates the
questions, `split` assigns them to test and training, `quiz` samples balanced sets, `training`
converts them to conversations. `python -m musicllm.theory` writes either as JSON lines.
"""

from musicllm.theory.drafts import LEVELS
from musicllm.theory.families import FAMILIES
from musicllm.theory.question import LETTERS, TheoryQuestion
from musicllm.theory.quiz import make_quiz, test_questions
from musicllm.theory.training import training_records

__all__ = [
    "FAMILIES",
    "LETTERS",
    "LEVELS",
    "TheoryQuestion",
    "make_quiz",
    "test_questions",
    "training_records",
]
