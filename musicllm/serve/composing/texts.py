"""ABC in a brief: a motif, an opening, a tune."""

from __future__ import annotations

from functools import lru_cache

from musicllm.errors import InputError
from musicllm.music.abc import check, parse
from musicllm.music.abc.source import default_unit_length, parse_metre
from musicllm.music.grammar.demands import problems
from musicllm.music.grammar.rules import TuneRules

MAX_MOTIF_CHARS = 300
MAX_TUNE_CHARS = 50_000
MAX_MOTIF_BARS = 2


@lru_cache(maxsize=256)
def fault_of_motif(motif: str, metre: str | None, key: str | None) -> str:
    """Return what is wrong with a motif; empty for nothing."""
    if len(motif) > MAX_MOTIF_CHARS or "\n" in motif:
        return f"is longer than one line of {MAX_MOTIF_CHARS} characters; write one or two bars"
    unit = default_unit_length(parse_metre(metre or "none")[0])
    try:
        score = parse(f"X:1\nL:{unit}\nM:{metre or 'none'}\nK:{key or 'C'}\n{motif} |\n")
    except InputError as error:
        return f"is no ABC: {error}; write one or two bars, such as A2D FED | A2D FED"
    bars = score.voice()
    if len(bars) > MAX_MOTIF_BARS:
        return f"has {len(bars)} bars; a motif has one or two"
    if metre is not None and any(bar.duration != bar.metre for bar in bars):
        return f"does not fill its bars of {metre}, counted in L:{unit}"
    return ""


@lru_cache(maxsize=64)
def fault_of_tune(text: str, *, may_misfit: bool) -> str:
    """Return what is wrong with a tune, or with the first bars of one; empty for nothing.

    Args:
        text: in ABC.
        may_misfit: its bars need not fit its metre.
    """
    if len(text) > MAX_TUNE_CHARS:
        return f"has {len(text):,} characters; at most {MAX_TUNE_CHARS:,} are read"
    try:
        score = parse(text)
    except InputError as error:
        return f"is no tune in ABC: {error}"
    if not score.bars:
        return "has no bars"
    faults = check(score).faults
    if faults and not may_misfit:
        first = faults[0]
        return f"has a bar of {first.actual} where {first.expected} is due, in line {first.line}"
    return ""


@lru_cache(maxsize=64)
def num_bars_of(text: str) -> int:
    """Return the bars of a tune that can be read."""
    return len(parse(text).voice())


@lru_cache(maxsize=64)
def first_key_and_metre(text: str) -> tuple[str | None, str | None]:
    """Return key and metre of a tune that can be read; None for what the grammar does not write."""
    score = parse(text)
    key, metre = score.key.name, score.metre_text
    refused = {problem.key for problem in problems(TuneRules(key=key, metre=metre), "")}
    return None if ".key" in refused else key, None if ".metre" in refused else metre
