"""A tune as text: every head, bar line and accidental where a musician would look for it."""

from __future__ import annotations

import pytest

from musicllm.music.abc import parse, parse_key
from musicllm.music.render.staff import describe, spell, staff

JIG = "X:1\nT:The Kerry Jig\nR:Jig\nM:6/8\nL:1/8\nK:D\n|: A2d fed | Bcd AFD :|\n"


def test_a_jig_on_its_staff() -> None:
    assert staff(parse(JIG), 2) == [
        " F#5 ───●──┼──────┼",
        "  E5     ● │      │",
        "  D5 ──●──●┼──●───┼",
        " C#5       │ ●    │",
        "  B4 ──────┼●─────┼",
        "  A4 ●━    │   ●  │",
        "  G4 ──────┼──────┼",
        " F#4       │    ● │",
        "  E4 ──────┼──────┼",
        "  D4       │     ●│",
    ]


def test_accidentals_rests_chords_and_tuplets() -> None:
    assert staff(parse("X:1\nM:4/4\nL:1/4\nK:F\n^F z [=Ac] e | (3_AGB c2 d |\n"), 2) == [
        "  E5    ●│      │",
        "  D5 ────┼─────●┼",
        "  C5   ● │   ●━ │",
        " Bb4 ────┼──●───┼",
        "  A4   ● │♭     │",
        "  G4 ────┼─●────┼",
        "  F4 ♯   │      │",
    ]


def test_only_bars_that_fit_the_width_are_drawn() -> None:
    assert {len(line) for line in staff(parse(JIG), 2, width=10)} == {5 + 7}
    assert {len(line) for line in staff(parse(JIG), 2, width=3)} == {5 + 3}


def test_there_is_no_staff_without_bars_or_notes() -> None:
    assert staff(parse(JIG), 0) == []
    assert staff(parse("X:1\nL:1/8\nM:2/4\nK:C\nz4 | C4 |\n"), 1) == []


def test_a_tune_in_one_line() -> None:
    assert describe(parse(JIG)) == (
        "The Kerry Jig, jig, D major, 6/8, 2 bars, all fit, form AA, D4 to F#5"
    )


def test_faults_voices_and_free_metre_are_told() -> None:
    faulty = "X:1\nM:4/4\nL:1/4\nK:Am\nABcd | ABcde | ABcd | ABcd |]\n"
    assert describe(parse(faulty)) == "tune, A minor, 4/4, 4 bars, 75% fit, form A, A4 to E5"
    free = "X:1\nM:none\nL:1/4\nK:none\nV:1\nABcd |\nV:2\nABc |\n"
    assert describe(parse(free)).startswith("tune, no key, free metre, 2 voices, 2 bars, all fit")


@pytest.mark.parametrize(
    ("pitch", "key", "spelled"),
    [
        (60, "C", (0, 0)),
        (59, "C", (-1, 0)),
        (61, "C", (0, 1)),
        (61, "D", (0, 1)),
        (66, "Gm", (3, 1)),
        (60, "D", (0, 0)),
        (68, "D", (4, 1)),
        (68, "C", (5, -1)),
        (67, "F#", (3, 2)),
        (66, "none", (3, 1)),
        (70, "F", (6, -1)),
        (71, "F", (6, 0)),
    ],
)
def test_pitches_are_spelled_in_their_key(pitch: int, key: str, spelled: tuple[int, int]) -> None:
    assert spell(pitch, parse_key(key)) == spelled
