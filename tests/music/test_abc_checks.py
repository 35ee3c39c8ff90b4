from __future__ import annotations

from fractions import Fraction

import pytest

from musicllm.music.abc import Fault, Score, check, parse


def read(body: str, metre: str = "4/4") -> Score:
    return parse(f"X:1\nM:{metre}\nL:1/4\nK:C\n{body}")


def faults(body: str, metre: str = "4/4") -> list[int]:
    return [fault.bar for fault in check(read(body, metre)).faults]


def test_full_bars_fit() -> None:
    report = check(read("ABcd | A4 |]"))
    assert (report.num_bars, report.num_fitting, report.share_fitting) == (2, 2, 1.0)


def test_fault_says_where_and_how_long() -> None:
    report = check(read("A4 |\nB3 | c4 |]"))
    assert report.faults == (Fault(1, 6, Fraction(1), Fraction(3, 4)),)
    assert report.num_fitting == 2


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("A | B4 | c3 |]", []),  # anacrusis and the last bar that completes it
        ("A | B4 | c4 |]", []),  # anacrusis, last bar full all the same
        ("A | B4 | c2 |]", [2]),  # the last bar does not complete the anacrusis
        ("A4 | B3 |]", [1]),  # a short last bar without an anacrusis
        ("A3 |]", [0]),  # a single short bar is no anacrusis
        ("A5 | B4 |]", [0]),  # an anacrusis is never over-full
        ("A | B4 | c3 | d4 |]", [2]),  # short in the middle of a section
        ("A4 | B5 | c3 |]", [1, 2]),  # over-full bars never fit
    ],
)
def test_anacrusis(body: str, wrong: list[int]) -> None:
    assert faults(body) == wrong


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("A | B4 | c3 :: d | e4 | f3 :|", []),  # each half ends where its pick-up begins
        ("A4 | B3 :: c | d4 | e3 :|", []),  # the halves beside the repeat make one bar
        ("A4 | B3 :: c2 | d4 | e4 :|", [1, 2]),  # halves that do not make one bar
        ("A4 | B4 || c | d4 | e3 |]", []),  # a later section has its own pick-up
        ("A4 | B4 || c | d4 | e4 |]", [2]),  # a later pick-up that nothing completes
        ("|: A | B4 |1 c3 :|2 d3 |]", []),  # both endings lead back to the pick-up or end
        ("|: A | B4 |1 c3 :|2 d4 |]", []),
        ("|: A | B4 |1 c3 :|2 d2 |]", [3]),
        ("A4 | B2 || c2 | d4 |]", []),  # a double bar inside a bar
        ("A4 | B2 | c2 | d4 |]", [1, 2]),  # a plain bar line excuses nothing
    ],
)
def test_sections(body: str, wrong: list[int]) -> None:
    assert faults(body) == wrong


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("A4 | A!fermata!B2 | c | d4 |]", []),
        ("A4 | AHB2 | c | d4 |]", []),
        ("A4 | A!fermata![BG]2 ) | c | d4 |]", []),
        ("A4 | A2B !breath! | c | d4 |]", []),
        ("A4 | AB2 $ | c | d4 |]", []),
        ("A4 | AB2 |$ c | d4 |]", []),
        ("A4 | AB2 |\n$ [K:G] c | d4 |]", []),
        ("A4 | !fermata!AB2 | c | d4 |]", [1, 2]),  # the phrase does not end there
        ("A4 | A$B2 | c | d4 |]", [1, 2]),
        ("A4 | A!fermata!B | c | d4 |]", [1, 2]),  # together they are no bar
        ("A4 | A!fermata!B3 | c | d4 |]", [2]),
    ],
)
def test_phrase_end_divides_a_bar(body: str, wrong: list[int]) -> None:
    assert faults(body) == wrong


def test_free_metre_excuses_every_bar() -> None:
    assert faults("A | B7 | c3 |]", metre="none") == []


def test_metre_in_force_counts() -> None:
    assert faults("A4 | [M:3/4] B3 | c4 |]") == [2]


def test_voices_are_checked_apart() -> None:
    assert faults("[V:1] A | [V:2] B4 | [V:1] c4 | [V:2] d3 |") == [3]


def test_tuplets_and_broken_rhythm_fit() -> None:
    assert faults("(3ABc d>e | (3:2:2A2B [ce]>>f |]") == []
