"""The grammar of legal tunes, read character by character: what may follow, and when it may end."""

from musicllm.music.grammar.rules import TuneRules

__all__ = ["TuneRules"]
