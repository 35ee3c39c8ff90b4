from __future__ import annotations

from typing import Any

import pytest

from musicllm.data.instructions import FAMILIES, languages, wordings
from musicllm.errors import InputError
from musicllm.music.abc import parse
from musicllm.music.grammar import TuneRules
from musicllm.music.grammar.demands import problems
from musicllm.serve import composing
from musicllm.serve.composing import Brief, choices

JIG = "X:1\nR:jig\nL:1/8\nM:6/8\nK:D\n" + (
    "A2D FED | A2D FED | A2D FED | G2E E3 | A2D FED | A2D FED | G2A B2G | F2D D3 :|\n"
    "d2e f2d | g2e f2d | d2e f2d | e2d B2c | d2e f2d | g2e f2d | d2B A2G | F2D D3 :|\n"
)
HEADER = "X:1\nR:jig\nL:1/8\nM:6/8\nK:D"
OPENING = "X:1\nR:jig\nL:1/8\nM:6/8\nK:D\nA2D FED | A2D FED |"


def told(uses_grammar: bool = True, **values: Any) -> list[str]:
    found = composing.complaints(Brief.read(values), uses_grammar=uses_grammar)
    return [f"{one.field} {one.text}" for one in found]


def offered(name: str, uses_grammar: bool = True, **values: Any) -> list[Any]:
    offers = composing.offers(Brief.read(values), uses_grammar=uses_grammar)
    (offer,) = (own for own in offers if own.name == name)
    return [choice.value for choice in offer.choices]


def names(uses_grammar: bool, task: str) -> list[str]:
    return [own.name for own in composing.offers(Brief(task), uses_grammar=uses_grammar)]


def test_a_brief_becomes_conditions_words_and_rules() -> None:
    brief = Brief.read({"task": "metadata_to_tune", "rhythm": "jig", "key": "Ador", "metre": "6/8"})
    assert composing.conditions(brief) == {"rhythm": "jig", "key": "A dorian", "metre": "6/8"}
    text = composing.request(brief)
    assert "jig" in text
    assert "A dorian" in text
    assert "6/8" in text
    base = TuneRules(num_bars=16, plain_bar_lines=True)
    assert composing.rules(brief, base) == TuneRules(
        key="Ador", metre="6/8", may_change=False, plain_bar_lines=True, required=True
    )


def test_key_metre_and_kind_make_the_header_that_tunes_have() -> None:
    values = {"task": "motif_to_tune", "motif": "A2D FED", "rhythm": "jig", "key": "D"}
    brief = Brief.read({**values, "metre": "6/8"})
    assert composing.conditions(brief) == {"motif": "A2D FED", "header": HEADER}
    assert JIG.startswith(HEADER)
    assert told(**values) == ["metre is missing: with the rhythm it makes the header"]
    polka = Brief("form_to_tune", key="G", metre="2/4", form="AABB")
    assert composing.conditions(polka)["header"] == "X:1\nL:1/16\nM:2/4\nK:G"


def test_a_request_in_chinese_says_the_same() -> None:
    values = {"task": "metadata_to_tune", "rhythm": "jig", "key": "Bbm", "metre": "6/8"}
    text = composing.request(Brief.read({**values, "language": "zh"}))
    assert "降B 小调" in text
    assert "吉格舞曲" in text


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"task": "metadata_to_tune", "rhythm": "jig", "key": "D", "metre": "4/4"},
         "metre is none of a jig, which has 6/8 or 9/8"),
        ({"task": "form_to_tune", "form": "ABAC", "chords": "G D"},
         "chords cannot be spread over form=ABAC; leave one of them out"),
        ({"task": "form_to_tune", "form": "ABAC", "num_bars": 2},
         "num_bars cannot be the bars of form=ABAC; leave one of them out"),
        ({"task": "terms_to_tune", "terms": "Binary", "form": "ABC"},
         "form is Through Composed, and terms=Binary"),
        ({"task": "terms_to_tune", "terms": "Sonata"}, "terms names no form; there are"),
        ({"task": "form_motif_to_tune", "motif": "AB", "form": "AA", "terms": "Only One Section"},
         "terms names the form once more; leave one of them out"),
        ({"task": "form_motif_to_tune", "motif": "AB"},
         "form is missing: name it in letters or in terms"),
        ({"task": "motif_to_tune", "motif": "A2D FE", "key": "D", "metre": "6/8"},
         "motif does not fill its bars of 6/8, counted in L:1/8"),
        ({"task": "motif_to_tune", "motif": "A | B | c"}, "motif has 3 bars"),
        ({"task": "motif_to_tune", "motif": "z4"},
         "motif is no ABC: the tune has no notes; write one or two bars"),
        ({"task": "motif_to_tune", "motif": "A\nX:2"}, "motif is longer than one line"),
        ({"task": "chords_to_tune", "chords": "G Hm7"}, 'chords has "Hm7", which is no chord'),
        ({"task": "continuation", "opening": OPENING, "num_bars": 1},
         "num_bars is less than the 2 bars of the opening"),
        ({"task": "continuation", "opening": OPENING[:-6]}, "opening has a bar of 3/8 where 3/4"),
        ({"task": "name_key", "tune": "no tune"}, "tune is no tune in ABC"),
        ({"task": "name_key", "tune": JIG, "key": "D"},
         "key is no field of name_key, which takes tune"),
        ({"task": "form_to_tune", "form": "AA", "language": "de"}, "language is none of en, zh"),
        ({"task": "metadata_to_tune", "rhythm": "jig", "metre": "6/8"}, "key is missing"),
        ({"task": "metadata_to_tune", "rhythm": "jug", "key": "H", "metre": "6/8"},
         "key is no key that the grammar writes"),
    ],
)  # fmt: skip
def test_what_contradicts_is_told(values: dict[str, Any], text: str) -> None:
    assert any(line.startswith(text) for line in told(**values)), told(**values)


def test_what_only_the_grammar_keeps_is_refused_without_it() -> None:
    values = {"task": "motif_to_tune", "motif": "A2D FED", "num_bars": 16}
    assert told(**values) == []
    assert told(uses_grammar=False, **values) == [
        "num_bars is not stated in a request of motif_to_tune; only the grammar keeps it"
    ]
    assert names(True, "motif_to_tune") == [
        "rhythm", "key", "metre", "form", "num_bars", "chords", "motif",
    ]  # fmt: skip
    assert names(False, "motif_to_tune") == ["rhythm", "key", "metre", "motif"]
    assert names(True, "name_key") == ["tune"]


@pytest.mark.parametrize("uses_grammar", [True, False])
@pytest.mark.parametrize("task", FAMILIES)
def test_whatever_is_offered_can_be_asked_for(task: str, uses_grammar: bool) -> None:
    """Choose, field after field, the last value that is offered; the request then has no faults."""
    texts = {"chords": "G D7 Em", "motif": "B", "opening": OPENING, "tune": JIG}
    values: dict[str, Any] = {"task": task}
    for name in names(uses_grammar, task):
        if name in texts:
            comes_back = name == "chords" and task != "chords_to_tune" and "form" in values
            if name == "motif" and "metre" in values:
                beats, unit = map(int, values["metre"].split("/"))
                length = beats * (8 if 4 * beats >= 3 * unit else 16) // unit
                texts["motif"] = f"B{length}"
            values |= {} if comes_back else {name: texts[name]}
        elif chosen := offered(name, uses_grammar, **values):
            values[name] = chosen[-1]
    brief = Brief.read(values)
    assert told(uses_grammar, **values) == []
    assert composing.request(brief)
    if brief.writes_tune:
        assert not list(problems(composing.rules(brief, TuneRules())))


def test_offers_leave_out_what_contradicts() -> None:
    jig = {"task": "metadata_to_tune", "rhythm": "jig"}
    assert offered("metre", **jig) == ["6/8", "9/8"]
    assert "waltz" not in offered("rhythm", task="metadata_to_tune", metre="6/8")
    assert offered("form", task="terms_to_tune", terms="Rondo") == ["ABACA"]
    assert "ABAC" not in offered("form", task="form_to_tune", chords="G D")
    assert "ABAC" not in offered("form", task="chords_to_tune"), "its chords are still to come"
    assert offered("num_bars", task="form_to_tune", form="AABBCCDD")[0] == 4
    assert offered("terms", task="form_motif_to_tune", form="AABB") == []


def test_every_kind_of_tune_has_a_word_in_every_language() -> None:
    for language in languages(None):
        known = wordings(language).words.rhythms
        for kind in choices.RHYTHMS:
            assert kind in known or language == "en", (language, kind)
    assert set(choices.TITLES) == set(FAMILIES)


def test_a_key_of_the_list_is_what_the_grammar_writes() -> None:
    for key in choices.keys_in_words():
        assert not list(problems(TuneRules(key=key)))
    assert choices.keys_in_words()["F#m"] == "F# minor"


def test_an_answer_is_compared_with_its_brief() -> None:
    brief = Brief.read(
        {"task": "form_motif_to_tune", "rhythm": "jig", "key": "D", "metre": "6/8",
         "form": "AABB", "motif": "A2D FED", "num_bars": 16},
    )  # fmt: skip
    met = {own.field: own.is_met for own in composing.met(brief, f"Here it is:\n\n{JIG}\nEnd.")}
    assert met == dict.fromkeys(("rhythm", "key", "metre", "form", "motif", "num_bars"), True)
    other = Brief.read({"task": "form_to_tune", "form": "ABAC", "key": "G", "metre": "6/8"})
    met = {own.field: own.is_met for own in composing.met(other, JIG)}
    assert met == {"key": False, "metre": True, "form": False}
    assert not any(own.is_met for own in composing.met(other, "I cannot."))


def test_the_right_answer_to_a_question_is_computed() -> None:
    answers = {"name_key": "D major", "name_metre": "6/8", "count_bars": "16", "name_form": "AABB"}
    for task, answer in answers.items():
        assert composing.right_answer(Brief(task, tune=JIG)) == answer
        assert composing.met(Brief(task, tune=JIG), answer) == []
    assert composing.right_answer(Brief("identify_style", tune=JIG)) == "jig"
    assert "R:jig" not in composing.request(Brief("identify_style", tune=JIG))
    assert composing.right_answer(Brief("form_to_tune", form="AA")) is None


def test_rules_keep_key_and_metre_of_a_given_beginning() -> None:
    rules = composing.rules(Brief("continuation", opening=OPENING), TuneRules(num_bars=16))
    assert (rules.key, rules.metre, rules.num_bars) == ("D", "6/8", None)
    pipes = OPENING.replace("K:D", "K:D exp _b")
    assert parse(pipes).key.name
    assert composing.rules(Brief("continuation", opening=pipes), TuneRules()).metre == "6/8"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"task": "sonata"}, "task=sonata is none of metadata_to_tune"),
        ({"task": "form_to_tune", "fom": "AA"}, "fom is no field of .*; form?"),
        ({"task": "form_to_tune", "num_bars": "8"}, "num_bars='8' is no whole number"),
        ({"task": "form_to_tune", "form": 3}, "form must be a string"),
    ],
)
def test_what_is_no_brief_is_refused(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Brief.read(values)
