"""Compiles the rules of a tune into what all states of one grammar share."""

from __future__ import annotations

from musicllm.errors import ConfigError
from musicllm.music.grammar import music, prose
from musicllm.music.grammar.cursor import Tables
from musicllm.music.grammar.demands import pitch_of, problems
from musicllm.music.grammar.metres import key_of, key_words, metre, metre_words, words_that
from musicllm.music.grammar.pitches import Pitches
from musicllm.music.grammar.plans import Plan, runs_of
from musicllm.music.grammar.rules import TuneRules
from musicllm.music.grammar.trie import ALL


def compile_rules(rules: TuneRules) -> Tables:
    """Return the tables of a grammar with these rules.

    Raises:
        ConfigError: rules that cannot be kept, by their keys in `generation.tune`.
    """
    if broken := list(problems(rules)):
        raise ConfigError(broken)
    pitches = _pitches(rules)
    plan = Plan(rules.num_bars, runs_of(rules.form or ""))
    return Tables(
        rules,
        _metres(rules),
        ALL if rules.key is None else words_that(key_words(), key_of(rules.key).__eq__),
        rules.metre is not None or rules.num_bars is not None,
        pitches,
        plan,
        rules.chords,
        bool(rules.num_bars or rules.form or rules.chords),
        pitches.candidates() if pitches else ("C",),
        music.item,
        music.line,
        prose.enter,
    )


def _metres(rules: TuneRules) -> int:
    """Return the mask of the values of `M:` that the rules accept."""
    if rules.metre is not None:
        wanted = metre(rules.metre)
        return words_that(metre_words(), lambda value: value.text == wanted.text)
    return ALL if rules.num_bars is None else words_that(metre_words(), lambda value: value.full)


def _pitches(rules: TuneRules) -> Pitches | None:
    """Return what follows pitches; None if no rule needs it."""
    is_free = rules.lowest is None and rules.highest is None and rules.max_foreign_share >= 1
    if is_free and not rules.form:
        return None
    lowest = 0 if rules.lowest is None else pitch_of(rules.lowest)
    highest = 127 if rules.highest is None else pitch_of(rules.highest)
    return Pitches(lowest, highest, rules.max_foreign_share)
