"""Rules of a tune: what is written by them is what the analysis measures, and what cannot be."""

from __future__ import annotations

import importlib
import random
import re

import pytest

from musicllm.errors import ConfigError
from musicllm.music import abc
from musicllm.music.analysis import count_bars, form
from musicllm.music.analysis.chords import quoted_symbols
from musicllm.music.grammar import Grammar, TuneRules, plans
from musicllm.music.grammar.demands import pitch_of
from musicllm.music.grammar.pitches import scale_of
from tests.music.test_grammar import assert_legal, walk

RULES = (
    TuneRules(key="Ador", max_foreign_share=0.1, lowest="G,", highest="d'", required=True),
    TuneRules(key="Em", max_foreign_share=0.0, metre="6/8", required=True),
    TuneRules(metre="C|", lowest="C,,", highest="C", required=True),
    TuneRules(num_bars=4, required=True),
    TuneRules(num_bars=8, form="AABB", metre="3/4", required=True),
    TuneRules(form="ABA", key="G", required=True),
    TuneRules(form="ABAC", num_bars=9, lowest="c", highest="c''", required=True),
    TuneRules(chords=("G", "Am7", "D7", "C/E"), num_bars=3, required=True),
    TuneRules(chords=("Bb",) * 8, num_bars=1, form="AA", required=True),
    TuneRules(may_change=False, required=True),
    TuneRules(plain_bar_lines=True, required=True),
)


def assert_kept(rules: TuneRules, text: str) -> None:
    span = abc.find_tunes(text)[0]
    tune = text[span.start : span.stop]
    score = abc.parse(tune)
    notes = [pitch for bar in score.bars for note in bar.notes for pitch in note.pitches]
    if rules.num_bars:
        assert count_bars(score) == rules.num_bars
    if rules.plain_bar_lines:
        body = re.sub(r'"[^"]*"|![^!]*!|\[[KLM]:[^]]*\]', "", tune.partition("\nK:")[2])
        strokes = re.findall(r"[|:\[\]]*[|:][|:\]]*(?:\[?[1-6,-]+)?", body)
        assert {stroke.rstrip("123456,-") for stroke in strokes} <= {"|", "||", "|]", "|:", ":|"}
    if not rules.may_change:
        assert {(bar.key, bar.metre) for bar in score.bars} == {(score.key, score.metre)}
        assert not re.search(r"\[?[KLM]:", tune.partition("\nK:")[2])
    if rules.form:
        assert form(score, marks=False) == rules.form
    if rules.chords:
        assert tuple(quoted_symbols(tune)) == rules.chords
    if rules.metre:
        assert {bar.metre for bar in score.bars} == {abc.parse(f"M:{rules.metre}\nK:C\nC").metre}
    if rules.key:
        assert {bar.key for bar in score.bars} == {abc.parse_key(rules.key)}
        foreign = sum(pitch % 12 not in scale_of(score.key) for pitch in notes)
        assert foreign <= rules.max_foreign_share * len(notes)
    if rules.lowest and rules.highest:
        assert pitch_of(rules.lowest) <= min(notes) <= max(notes) <= pitch_of(rules.highest)


@pytest.mark.parametrize("rules", RULES, ids=str)
def test_a_tune_is_what_its_rules_demand(rules: TuneRules) -> None:
    start = Grammar(rules).start()
    for seed in range(4):
        text, states = walk(start, random.Random(seed), 50 * seed, 4.0)
        last = states[-1].after(states[-1].ending())
        assert last is not None
        text += states[-1].ending()
        assert_legal(text, last.num_tunes + (not last.is_free))
        assert_kept(rules, text)


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES, ids=str)
def test_endings_by_rules_get_shorter(rules: TuneRules) -> None:
    for seed in range(3):
        _, states = walk(Grammar(rules).start("X:1\n"), random.Random(seed), 150, 2.0)
        for state in states:
            if ending := state.ending():
                after = state.after(ending[0])
                assert after is not None
                assert len(after.ending()) < len(ending)


def test_a_text_without_a_tune_may_not_end_where_one_is_required() -> None:
    state = Grammar(TuneRules(required=True)).start()
    assert not state.may_end
    assert state.ending() == "X:1\nK:A\nC|"
    written = state.after("Here: \n\nX:1\nK:C\nC|\n\nDo you like it?")
    assert written is not None
    assert written.may_end


def test_accidentals_count_as_the_parser_hears_them() -> None:
    head = "X:1\nL:1/4\nM:4/4\nK:C\n"
    strict = Grammar(TuneRules(key="C", max_foreign_share=0.0)).start(head)
    assert strict.after("^f") is None
    assert strict.after("^e=f") is not None
    tied = Grammar(TuneRules(key="C", max_foreign_share=0.5)).start(head)
    assert tied.after("c3^f-|fg") is None, "the tie carries the sharp over the bar line"
    assert tied.after("c3^f-|=fg") is not None
    assert tied.after("c3^f|fg") is not None


def test_the_range_counts_octave_marks() -> None:
    start = Grammar(TuneRules(lowest="G,", highest="d'")).start("X:1\nM:4/4\nK:C\n")
    assert start.after("G,2") is not None
    assert start.after("F,2") is None
    assert start.after("d'2") is not None
    assert start.after("e'") is None
    assert start.after("^d'2") is None


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (TuneRules(key="H"), "generation.tune.key=H is no key that the grammar writes; write"),
        (TuneRules(metre="7"), "generation.tune.metre=7 is no metre that the grammar writes;"),
        (TuneRules(metre="none", num_bars=8), "metre=none has no bars to count for num_bars;"),
        (TuneRules(max_foreign_share=2.0), "max_foreign_share=2.0 is no share; write a number"),
        (TuneRules(num_bars=0), "generation.tune.num_bars=0 is out of range; write a number from"),
        (TuneRules(form="BA"), "form=BA does not name sections A, B, ... in their order;"),
        (TuneRules(form="AAAB"), "form=AAAB names a section more than twice in a row; write it"),
        (TuneRules(form="ABA", num_bars=2), "num_bars=2 cannot be the bars of form=ABA; leave"),
        (TuneRules(form="A", num_bars=9), "num_bars=9 is more than the 8 bars of one section"),
        (TuneRules(lowest="g", highest="c'"), "highest=c' is less than an octave above lowest=g;"),
        (TuneRules(lowest="H"), "generation.tune.lowest=H names no note; write it as in ABC"),
        (TuneRules(lowest="c'''"), "lowest=c''' leaves no octave below b'''; name a lower note"),
        (TuneRules(highest="C,,"), "highest=C,, leaves no octave above C,,; name a higher note"),
        (TuneRules(chords=("Foo",)), 'has "Foo", which is no chord symbol; write it such as Am7'),
        (TuneRules(chords=("^x",)), 'has "^x", which is no chord symbol; write it such as Am7'),
        (TuneRules(chords=("C%",)), 'has "C%", which is no chord symbol; write it such as Am7'),
        (TuneRules(chords=("G",), form="ABA"), "cannot be spread over form=ABA; leave one of"),
        (TuneRules(chords=("G",) * 9, num_bars=1), "are more than 8 for each of num_bars=1;"),
    ],
    ids=str,
)
def test_rules_that_cannot_be_kept_are_refused(rules: TuneRules, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Grammar(rules)
    assert message in str(raised.value)


def test_sections_are_compared_as_the_analysis_does() -> None:
    module = importlib.import_module("musicllm.music.analysis.sections")
    assert (module.NEARLY_ALL, module.SECTION_BARS) == (plans.NEARLY_ALL, plans.SECTION_BARS)
