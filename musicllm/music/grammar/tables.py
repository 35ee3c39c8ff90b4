"""Compiles the rules of a tune into what all states of one grammar share."""

from __future__ import annotations

from musicllm.errors import InputError
from musicllm.music.abc.keys import height_of, place_of
from musicllm.music.abc.tokens import NOTE
from musicllm.music.grammar import music, prose
from musicllm.music.grammar.cursor import Tables
from musicllm.music.grammar.metres import key_of, key_words, metre, metre_words, words_that
from musicllm.music.grammar.pitches import Pitches
from musicllm.music.grammar.rules import TuneRules
from musicllm.music.grammar.trie import ALL


def compile_rules(rules: TuneRules) -> Tables:
    """Return the tables of a grammar with these rules."""
    pitches = _pitches(rules)
    return Tables(
        rules,
        ALL if rules.metre is None else words_that(metre_words(), metre(rules.metre)),
        ALL if rules.key is None else words_that(key_words(), key_of(rules.key)),
        rules.metre is not None,
        pitches,
        pitches.candidates() if pitches else ("C",),
        music.item,
        music.line,
        prose.enter,
    )


def _pitches(rules: TuneRules) -> Pitches | None:
    """Return what follows pitches; None if no rule needs it."""
    if rules.lowest is None and rules.highest is None and rules.max_foreign_share >= 1:
        return None
    lowest = 0 if rules.lowest is None else pitch_of(rules.lowest)
    highest = 127 if rules.highest is None else pitch_of(rules.highest)
    return Pitches(lowest, highest, rules.max_foreign_share)


def pitch_of(note: str) -> int:
    """Return the MIDI number of a note such as `G,` or `^f'`."""
    match = NOTE.fullmatch(note)
    if match is None or match[2] in "zx" or match[4] or match[5]:
        raise InputError(f'"{note}" names no note; write it as in ABC, such as G, or d\'')
    alter = match[1].count("^") - match[1].count("_")
    return height_of(place_of(match[2], match[3])) + alter
