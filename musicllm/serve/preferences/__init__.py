"""Which of two answers people prefer: pairs in a file that preference training reads."""

from musicllm.serve.preferences.comparisons import Comparison, Comparisons, Side
from musicllm.serve.preferences.file import PreferenceFile
from musicllm.serve.preferences.pair import Pair
from musicllm.serve.preferences.verdicts import Verdict, Verdicts

__all__ = [
    "Comparison",
    "Comparisons",
    "Pair",
    "PreferenceFile",
    "Side",
    "Verdict",
    "Verdicts",
]
