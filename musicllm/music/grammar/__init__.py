"""The grammar of legal tunes: what may follow at each character, so that no wrong bar is written.

Prose is free; in a tune every bar fits its metre and every bracket is closed. No model is needed
here: `inference` asks it which tokens may follow.
"""

from musicllm.music.grammar.automaton import Grammar, State, place_of
from musicllm.music.grammar.rules import TuneRules

__all__ = ["Grammar", "State", "TuneRules", "place_of"]
