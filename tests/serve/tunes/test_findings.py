"""What is found out about tunes: sections, chords, places in UTF-16, hostile texts."""

from __future__ import annotations

from typing import Any

import pytest

from musicllm.errors import InputError
from musicllm.serve.tunes import MAX_CHARS, findings

HEAD = "X:1\nM:4/4\nL:1/4\nK:G\n"
FOUR = "GABc|d2B2|cBAG|A4"
OTHER = "dedc|B2G2|ABcd|G4"


def found(text: str, **options: bool) -> dict[str, Any]:
    (tune,) = findings(text, is_tune=True, **options)["tunes"]
    return dict(tune)


def test_sections_have_the_letters_of_the_form_and_cover_the_tune() -> None:
    tune = found(f"{HEAD}D|:{FOUR}:|\n|:D|{OTHER}:|\n{FOUR}|]")
    assert tune["form"] == "AABBA"
    sections = [(own["label"], own["first_bar"], own["last_bar"]) for own in tune["sections"]]
    assert sections == [("A", 1, 5), ("B", 6, 10), ("A", 11, 14)]
    texts = [tune["abc"][own["start"] : own["stop"]] for own in tune["sections"]]
    assert texts == [f"D|:{FOUR}", f"D|{OTHER}", FOUR]


def test_marked_sections_have_their_names_letters() -> None:
    tune = found(f"{HEAD}P:B\n{FOUR}|\nP:A\n{OTHER}|\nP:B\n{FOUR}|]")
    assert tune["form"] == "ABA"
    assert [own["label"] for own in tune["sections"]] == ["A", "B", "A"]


def test_voices_have_bars_of_their_own_numbers() -> None:
    tune = found(f"{HEAD}V:1\nGABc|d4|\nV:2\nG,4|D,3|\n")
    bars = [(own["voice"], own["number"], own["fits"]) for own in tune["bars"]]
    assert bars == [("1", 1, True), ("1", 2, True), ("2", 1, True), ("2", 2, False)]


def test_chords_stand_over_bars() -> None:
    tune = found(f'{HEAD}"G"GABc|"D7"d4|]')
    (first, second) = tune["chords"]
    assert (first["symbol"], second["symbol"]) == ("G", "D7")
    assert tune["abc"][second["start"] : second["stop"]] == '"D7"d4'


def test_places_in_utf16_are_those_of_javascript() -> None:
    text = f"🎵 Here:\n\n{HEAD.replace('M:', 'T:🎻🎻' + chr(10) + 'M:')}GABc|d3|]\n"
    (tune,) = findings(text, utf16=True)["tunes"]
    units = text.encode("utf-16-le")
    start, stop = tune["start"], tune["stop"]
    assert units[2 * start : 2 * stop].decode("utf-16-le") == tune["abc"]
    own = tune["abc"].encode("utf-16-le")
    bar = tune["bars"][1]
    assert own[2 * bar["start"] : 2 * bar["stop"]].decode("utf-16-le") == "d3"


def test_without_a_tune_there_is_a_reason() -> None:
    assert findings("  ") == {"tunes": [], "problem": "the text is empty"}
    problem = findings("Hello there.")["problem"]
    assert problem.startswith("no tune is in the text; as a tune it does not parse: line 1: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * (MAX_CHARS + 1), "has 64,001 characters; at most 64,000 are read"),
        ("C" * 10_001, "a line has 10,001 characters; at most 10,000 are read"),
        ("X:1\nK:C\nC|\n\n" * 101, "the text has 101 tunes; at most 100 are read at once"),
        ("X:1 " * 2_000, "the text has 2,000 tunes"),
    ],
)
def test_texts_that_take_long_are_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        findings(text)


@pytest.mark.parametrize(
    "body",
    [
        "||".join(f"{chr(65 + i % 7)}{chr(97 + i // 7 % 7)}2|" for i in range(600)),
        "|:" + "|1 C4 :|2 D4 :|" * 500,
        "[V:1]C4|[V:2]D4|" * 400,
        '"Am"A4|' * 900,
        "Z999|",
        "(((((" * 1000 + "C4|",
        "P:A\nC4|\n" * 900,
        "{" * 5000,
        "[" * 5000,
        '"' * 4999 + "|",
    ],
)
def test_hostile_tunes_are_read(body: str) -> None:
    tune = found(f"{HEAD}{body}")
    assert tune["parses"] or tune["error"]["message"]


def test_many_sections_are_named_as_a_problem() -> None:
    body = "||".join("C4" for _ in range(150))
    tune = found(f"{HEAD}{body}|]")
    assert (tune["form"], tune["sections"]) == (None, [])
    assert tune["problems"] == ["more than 100 sections, which are not compared"]
