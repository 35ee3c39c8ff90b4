from __future__ import annotations

import pytest

from musicllm.music.abc import Score, parse
from musicllm.music.analysis import (
    count_bars,
    count_motif,
    find_motif,
    form,
    motif,
    terms,
    terms_of,
)
from musicllm.music.analysis.sections import phrase_ends, sounds


def read(body: str, metre: str = "4/4") -> Score:
    return parse(f"X:1\nM:{metre}\nL:1/8\nK:C\n{body}")


@pytest.mark.parametrize(
    ("body", "wanted", "times"),
    [
        ("C8 | DEFG A4 | B8 | DEFG A4 | c8 |", "DEFG A4", 2),
        ("CDEF G4 | A8 | B8 | CDEF G4 | A8 | c8 |", "CDEF G4 | A8", 2),
        ("C8 | D8 | E8 |", "C8 | D8", 1),
        ("z8 | z8 | C8 | D8 |", "C8 | D8", 1),
        ("z8 | z8 | z8 | C8 | z8 |", "C8", 1),
        ("G2 | C8 | D8 | E6 |", "C8 | D8", 1),
        ("(C2{d}E2) G4 | C2E2 G4 |", "C2E2 G4", 2),
        ('"C"C2E2 "G7"G4 | C2E2 G4 |', "C2E2 G4", 2),
    ],
)
def test_motif(body: str, wanted: str, times: int) -> None:
    score = read(body)

    found = find_motif(score)

    assert motif(score) == wanted
    assert (found.text, found.times) == (wanted, times)
    assert count_motif(score, wanted) == times


def test_motif_is_counted_by_sound() -> None:
    score = read("^F2G2 A4 | B8 | ^F2 G2A4 | C8 |")
    assert count_motif(score, "^F2 G2 A4") == 2
    assert count_motif(score, "F2 G2 A4") == 0
    assert count_motif(score, "B8 | ^F2 G2 A4") == 1
    assert count_motif(score, "no notes?") == 0


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("|: C8 | D8 :| |: E8 | F8 :|", "AABB"),
        ("C8 | D8 || E8 | F8 || C8 | D8 |]", "ABA"),
        ("C8 | D8 || C8 | E8 |]", "AA"),
        ("|: C8 |1 D8 :|2 E8 || F8 | G8 |]", "AAB"),
        ("G2 |: C8 | D6 :| G2 | E8 | F6 |]", "AAB"),
        ("C8 | D8 |" * 8, "AA"),
        ("C8 |" * 8 + "D8 |" * 8, "AB"),
        ("C2 | D2 |", "A"),
    ],
)
def test_form(body: str, wanted: str) -> None:
    assert form(read(body)) == wanted


@pytest.mark.parametrize(
    ("letters", "wanted"),
    [
        ("A", ("Only One Section",)),
        ("AA", ("Only One Section",)),
        ("AAA", ("Strophic",)),
        ("AB", ("Binary",)),
        ("AABB", ("Binary",)),
        ("AAB", ("Binary",)),
        ("ABAB", ("Binary", "Sectional: Verse/Chorus")),
        ("AABBAABB", ("Binary", "Sectional: Verse/Chorus")),
        ("ABABCB", ("Sectional: Verse/Chorus/Bridge",)),
        ("ABABC", ("Sectional: Verse/Chorus/Bridge",)),
        ("ABA", ("Ternary",)),
        ("AABA", ("Ternary",)),
        ("ABACA", ("Rondo",)),
        ("ABACABA", ("Rondo",)),
        ("ABCBA", ("Arch",)),
        ("AABBCC", ("Medley",)),
        ("ABC", ("Through Composed",)),
        ("ABCD", ("Through Composed",)),
        ("ABABA", ()),
        ("ABCA", ()),
        ("ABAC", ()),
        ("A?", ()),
        ("", ()),
    ],
)
def test_terms_of_letters(letters: str, wanted: tuple[str, ...]) -> None:
    assert terms_of(letters) == wanted


def test_versions_of_one_section_are_variations() -> None:
    same, other, third = "C8 | D8 | E8 | F8", "C8 | D8 | E8 | G8", "C8 | D8 | A8 | F8"
    assert terms(read(f"{same} || {other} || {third} |]")) == ("Variational",)
    assert terms(read(f"{same} || {other} || {same} |]")) == ("Strophic",)
    assert terms(read("|: C8 | D8 :| |: E8 | F8 :|")) == ("Binary",)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("C8 | D8 |]", 2),
        ("G2 | C8 | D8 |]", 2),
        ("G2 | C8 | D6 :| G2 | E8 | F6 |]", 4),
        ("|: C8 |1 D8 :|2 E8 |]", 3),
        ("C8 | D8 D |]", None),
    ],
)
def test_bars_are_counted_as_musicians_do(body: str, wanted: int | None) -> None:
    assert count_bars(read(body)) == wanted


def test_bars_of_one_voice_and_of_free_metre() -> None:
    assert count_bars(read("[V:1] C8 | D8 |]\n[V:2] E8 | F8 |]")) == 2
    assert count_bars(read("C8 | D8 |]", metre="none")) is None


def test_phrases_end_with_sections_and_every_four_bars() -> None:
    bars = read("G2 | C8 | C8 | C8 | C8 | C8 | C6 :| D8 | E8 |]").voice()
    ends = phrase_ends(bars)
    assert [i for i, end in enumerate(ends) if end] == [4, 6, 8]


def test_bars_are_numbered_by_sound() -> None:
    assert sounds(read('C8 | D8 | "C"C8 | C4 C4 |').voice()) == [0, 1, 0, 2]
