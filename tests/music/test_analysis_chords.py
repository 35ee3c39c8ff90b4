from __future__ import annotations

import pytest

from musicllm.music.abc import Score, canonical, parse
from musicllm.music.analysis import (
    PlacedChord,
    chord_cover,
    chord_tones,
    chords,
    harmonize,
    placed_chords,
    unreadable_chords,
    with_chords,
    without_chords,
)


def tune(body: str, key: str = "C", metre: str = "4/4") -> str:
    return canonical(f"X:1\nL:1/8\nM:{metre}\nK:{key}\n{body}")


def harmony(body: str, key: str = "C", metre: str = "4/4") -> list[str]:
    return [chord.symbol for chord in harmonize(parse(tune(body, key, metre)))]


def read(body: str) -> Score:
    return parse(f"X:1\nM:4/4\nL:1/8\nK:C\n{body}")


def test_chords() -> None:
    assert chords(read('"C"C4 "G7"G4 | "^loud"z2 "C"C6 |')) == ("C", "G7", "C")
    assert chords(read("C8 |")) == ()


@pytest.mark.parametrize(
    ("symbol", "tones"),
    [
        ("C", {0, 4, 7}),
        ("F#m", {6, 9, 1}),
        ("Bb7", {10, 2, 5, 8}),
        ("G/B", {7, 11, 2}),
        ("Csus4", {0, 5, 7}),
        ("G7/b", {7, 11, 2, 5}),
        ("C13", {0, 4, 7, 10, 2, 9}),
        ("Bb6/9", {10, 2, 5, 7, 0}),
        ("F#ø", {6, 9, 0, 4}),
        ("N.C.", set()),
        ("H", set()),
    ],
)
def test_chord_tones(symbol: str, tones: set[int]) -> None:
    assert chord_tones(symbol) == tones


def test_cover_is_the_share_of_time_that_belongs_to_the_chord_in_force() -> None:
    assert chord_cover(read('"C"C4 D4 | E8 |')) == 0.75
    assert chord_cover(read('D8 | "C"C4 D4 | "Dm"z4 D4 |')) == pytest.approx(8 / 12)
    assert chord_cover(read("C8 |")) == 0.0


def test_no_chord_and_a_chord_that_cannot_be_read_end_the_one_before() -> None:
    assert chord_cover(read('"C"C4 D4 | "H7"D8 | "C"C8 |')) == 0.75
    assert chord_cover(read('"C"C4 D4 | "N.C."D8 |')) == 0.5
    score = read('"C"C4 "H7"D4 | "G7/b"B4 "C""G"c4 | "D.C."C8 |')
    assert chords(score) == ("C", "G7/B")
    assert unreadable_chords(score) == ("H7", "C;G")


def test_symbols_are_written_before_what_belongs_to_the_note() -> None:
    text = 'X:1\nL:1/8\nM:4/4\nK:C\n|: (3CDE {c}F2 !trill!(G2 A>B) | [K:G] [CE]4 "^up"G4 :|\n'
    placed = (
        PlacedChord(0, 0, "C"),
        PlacedChord(0, 3, "F"),
        PlacedChord(0, 4, "G"),
        PlacedChord(0, 6, "Em"),
        PlacedChord(1, 0, "Am"),
        PlacedChord(1, 1, "D7"),
    )

    written = with_chords(text, placed)

    assert written == (
        'X:1\nL:1/8\nM:4/4\nK:C\n|: "C"(3CDE "F"{c}F2 "G"!trill!(G2 A>"Em"B) '
        '| [K:G] "Am"[CE]4 "D7""^up"G4 :|\n'
    )
    assert placed_chords(parse(written)) == placed
    assert chords(parse(written)) == ("C", "F", "G", "Em", "Am", "D7")
    assert without_chords(written) == text


def test_symbols_in_titles_and_lyrics_stay() -> None:
    text = 'X:1\nT:The "Am" reel\nL:1/8\nM:4/4\nK:C\n"Am"C8 |\nw: "C" is sung\n% "F"\nD8 |]\n'
    assert without_chords(text) == text.replace('"Am"C8', "C8")


def test_no_symbol_is_left_in_a_melody() -> None:
    text = 'X:1\nL:1/8\nM:4/4\nK:C\n"G7/b"B4 "H7"c4 | "^up""N.C."d4 "4"e4 | "foo"f8 |]\n'
    bare = 'X:1\nL:1/8\nM:4/4\nK:C\nB4 c4 | "^up"d4 "4"e4 | f8 |]\n'
    assert without_chords(text) == bare


def test_a_cadence_is_harmonised_as_a_textbook_would() -> None:
    assert harmony("C2EG c2GE | F2Ac f2cA | G2Bd gfdB | c8 |]") == ["C", "F", "G7", "C"]
    assert harmony("A2ce a2ec | d2fa d2fd | e2^gb e2^g2 | A8 |]", "Am") == ["Am", "Dm", "E", "Am"]
    assert harmony("D2FA d2AF | C2EG c2GE | D2FA C2EG | D8 |]", "Ddor")[-1] == "Dm"
    assert harmony("D2FA d2AF | C2EG c2GE | D2FA d2AF | D8 |]", "Ddor")[:2] == ["Dm", "C"]


def test_chords_change_halfway_where_the_melody_asks_for_it() -> None:
    assert harmony("CEGC GBdG | c8 |]")[:2] == ["C", "G"]
    assert harmony("CEGC- CBdG | c8 |]")[0] == "C"
    assert len(harmony("CEG GBd | c6 |]", metre="3/4")) == 2


def test_an_anacrusis_has_no_chord() -> None:
    placed = harmonize(parse(tune("G2 | C2EG c2GE | c6 |]")))
    assert [chord.bar for chord in placed] == [1, 2]
    assert placed[0] == PlacedChord(1, 0, "C")


@pytest.mark.parametrize(
    "text",
    [
        tune("C8 | D8 |]", "none"),
        tune("C8 | [K:G] D8 |]"),
        tune("C8 | [M:3/4] D6 |]"),
        tune("C8 | D8 |]", metre="none"),
        tune("Z2 | C8 |]"),
        tune("[V:1] C8 |]\n[V:2] E8 |]"),
        tune("G2 | A2 |]").replace("G2 | A2 |]", "G2 || A2 |]"),
    ],
)
def test_what_is_not_plain_is_not_harmonised(text: str) -> None:
    assert harmonize(parse(text)) == ()


def test_harmonising_changes_nothing_but_symbols() -> None:
    text = tune("|: G | (3CDE F>G A2 BA | G2 z2 c3 :| [CE]4 d2 e2 | f2 ed c4 |]")
    written = with_chords(text, harmonize(parse(text)))
    assert written != text
    assert canonical(written) == written
    assert without_chords(written) == text
