"""Every tune in an answer, checked, and the measures by which answers are compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from musicllm.evals.copies import CopyIndex
from musicllm.evals.requests import Request
from musicllm.registry import load_extensions
from musicllm.serve.answers import check_tunes
from musicllm.serve.measures import MEASURES, Answer

# Four bars of 6/8 after the first, which is one eighth too long.
JIG = "X:1\nR:jig\nM:6/8\nL:1/8\nK:G\nGAB dBGA | GAB d3 | edB dBA | G3 G3 |]"
WHOLE = JIG.replace("dBGA", "dBG")
FAR = "X:2\nM:4/4\nL:1/8\nK:A\nA^GFE C2F2 | e4 c'2E2 | F2G2 A^ABc | f8 |]"


def test_bars_are_counted_against_the_metre_and_the_title_is_made_up() -> None:
    (tune,) = check_tunes(JIG)
    assert (tune.num_bars_fitting, tune.num_bars, tune.parses) == (3, 4, True)
    assert (tune.title, tune.key, tune.metre) == ("Jig in G major", "G major", "6/8")
    assert tune.problems == ("1 of 4 bars do not fit the metre",)
    (tune,) = check_tunes(JIG.replace("R:jig", "T:The Lark\nR:jig"))
    assert tune.title == "The Lark"


def test_bars_without_metre_are_not_counted_as_fitting() -> None:
    (tune,) = check_tunes(JIG.replace("M:6/8", "M:none"))
    assert tune.parses
    assert (tune.num_bars_fitting, tune.num_bars) == (0, 0)


def test_every_tune_of_an_answer_is_checked_amid_prose() -> None:
    broken = "X:3\nM:6/8\nK:G\n£"
    text = f"Here are three:\n\n{WHOLE}\n\nand\n\n{broken}\n\nand one more:\n\n{JIG}\n\nEnjoy."
    tunes = check_tunes(text)
    assert [tune.abc for tune in tunes] == [WHOLE, broken, JIG]
    assert [tune.parses for tune in tunes] == [True, False, True]
    assert tunes[1].problems[0].startswith("does not parse: line ")
    assert check_tunes("I would rather not.") == []
    (tune,) = check_tunes("X:1\nK:")
    assert not tune.parses


def answer(
    text: str, prompt: str = "", index: CopyIndex | None = None, **conditions: str
) -> Answer:
    return Answer(Request(prompt, "", conditions), text, True, check_tunes(text), index)


def value(measure: str, *parts: str, **conditions: str) -> float | None:
    return MEASURES[measure].value(answer(*parts, **conditions))


def test_measures_of_validity() -> None:
    two = f"{WHOLE}\n\nX:3\nM:6/8\nK:G\n£"
    assert [value("parses", text) for text in (WHOLE, two, "no")] == [1.0, 0.5, 0.0]
    assert [value("bars_fitting", text) for text in (WHOLE, JIG, two, "no")] == [1, 0.75, 0, 0]
    assert value("bars_fitting", JIG.replace("M:6/8", "M:none")) == 1.0
    assert value("finished", WHOLE) == 1.0


def test_measures_of_adherence_follow_the_prompt_and_the_conditions() -> None:
    assert value("as_asked", WHOLE, "Write a jig.") is None
    assert value("as_asked", "no", "Write a jig.") is None
    assert value("as_asked", WHOLE, "Write a jig in G major, 6/8.") == 1.0
    assert value("as_asked", WHOLE, "Write a jig in D major, 6/8.") == 0.5
    assert value("as_asked", WHOLE, "Write one.", key="K:D", metre="3/4", rhythm="jig") == 1 / 3
    stated = {"key": "K:G", "chords": "G", "motif": "G3 G3|", "form": "AB", "opening": "G3 G3|"}
    assert value("as_asked", "no", "Write a jig.", **stated) == 0.0
    assert value("key_fit", WHOLE) == 1.0
    assert 0 < (value("key_fit", WHOLE.replace("G3 G3", "^G3 G3")) or 0) < 1.0
    assert value("key_fit", "no") == 0.0


def test_copies_are_not_new_in_any_key() -> None:
    index = CopyIndex([WHOLE * 1])
    copied, new = answer(WHOLE, index=index), answer(FAR, index=index)
    assert MEASURES["novelty"].value(copied) == 0.0
    assert (MEASURES["novelty"].value(new) or 0) > 0.5
    assert MEASURES["novelty"].value(answer("no", index=index)) == 0.0
    assert MEASURES["novelty"].value(answer(f"{FAR}\n\n{WHOLE}", index=index)) == 0.0
    assert MEASURES["good"].value(copied) == 0.0
    assert MEASURES["good"].value(new) == MEASURES["bars_fitting"].value(new) == 1.0
    assert MEASURES["novelty"].needs_index
    assert MEASURES["good"].needs_index


def test_a_measure_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MEASURES, "_kinds", {**MEASURES})
    (tmp_path / "long.py").write_text(
        "from musicllm.serve.measures import MEASURES, Measure\n"
        "MEASURES.register(Measure('long', 'bars', lambda own: min(1.0, len(own.text) / 9)))\n"
    )
    load_extensions([str(tmp_path / "long.py")])
    assert value("long", "abc") == 3 / 9
