"""The static part of ABC as grammars for other engines: GBNF for llama.cpp, Lark for llguidance.

A tune is a header that ends with its key, and bars of music, the last of which ends with a bar
line; every bracket, brace and quotation mark is closed, and no blank line is within. Bars have
notes, chords, rests, chord symbols, grace notes, decorations, slurs, tuplets, broken rhythm, bar
lines with repeats and endings, and fields. What a context-free grammar cannot count is not here:
durations of bars, notes of tuplets, keys and ranges (`Grammar` counts them, `abc.check` measures
them). A text is one tune, without prose.

Both are generated from the rules in `abc`; `python -m musicllm --grammar gbnf` and `--grammar lark`
print them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from musicllm.music.grammar.static.abc import STRUCTURE, TOKENS
from musicllm.music.grammar.static.notation import gbnf, lark, regex


def abc_gbnf() -> str:
    """Return the grammar for llama.cpp, as in `abc.gbnf`."""
    return gbnf({**STRUCTURE, **TOKENS}, "tune")


def abc_lark() -> str:
    """Return the grammar for llguidance, which vLLM takes as a structured output."""
    return lark(TOKENS, STRUCTURE, "tune")


@cache
def tune_pattern() -> re.Pattern[str]:
    """Return the grammar as a regular expression; a tune matches it as a whole."""
    return regex({**STRUCTURE, **TOKENS}, "tune")


NOTATIONS: dict[str, Callable[[], str]] = {"gbnf": abc_gbnf, "lark": abc_lark}
"""Name of a notation -> the grammar in it."""

__all__ = ["NOTATIONS", "abc_gbnf", "abc_lark", "tune_pattern"]
