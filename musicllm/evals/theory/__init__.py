"""A quiz of music theory whose questions and answers are computed by rules.

`spelling` is the arithmetic of note names, `families` states facts as questions, `quiz` draws a
balanced set of them, `scoring` asks a model.
"""

from musicllm.evals.theory.quiz import Question, make_quiz
from musicllm.evals.theory.scoring import measure

__all__ = ["Question", "make_quiz", "measure"]
