"""Builds instructions: conversations generated from tunes."""

from musicllm.data.instructions.build import find_problems, make_instructions
from musicllm.data.instructions.families import FAMILIES, TASKS
from musicllm.data.instructions.subject import key_in_words
from musicllm.data.instructions.wordings import Wordings, languages, wordings

__all__ = [
    "FAMILIES",
    "TASKS",
    "Wordings",
    "find_problems",
    "key_in_words",
    "languages",
    "make_instructions",
    "wordings",
]
