"""Figures of melodies: what changes them and what does not, and the grid by hand."""

from __future__ import annotations

import pytest

from musicllm.music import abc
from musicllm.music.analysis import melodic_steps
from musicllm.music.transform import transpose
from musicllm.retrieval.figures import figures, grid

TUNE = "X:1\nL:1/8\nM:4/4\nK:D\nDEFG ABcd | fedc BAGF | DFAF GBdB | AFDE D4 |"


def read(body: str, *, metre: str = "4/4", length: str = "1/8", key: str = "C") -> abc.Score:
    return abc.parse(f"X:1\nL:{length}\nM:{metre}\nK:{key}\n{body}")


def test_the_grid_of_a_bar_that_divides_in_halves_has_four_places() -> None:
    assert grid(read("CDEF GABc | c4 C4 |")) == [60, 64, 67, 71, 72, 72, 60, 60]
    assert grid(read("CDEF | GABc |", metre="2/4")) == [60, 62, 64, 65, 67, 69, 71, 72]


def test_other_grids_follow_the_length_of_the_bar() -> None:
    assert grid(read("C2 D2 E2 | c6 |", metre="3/4")) == [60, 62, 64, 72, 72, 72]
    assert grid(read("CDE FGA |", metre="6/8")) == [60, 64, 67]
    assert grid(read("CDEFGAB |", metre="7/8")) == [60, 62, 64, 65, 67, 69, 71]
    assert grid(read("CDEF GABc |", metre="none")) == []


def test_an_upbeat_ends_with_its_bar_and_a_rest_lets_the_note_before_sound() -> None:
    assert grid(read("G,A, | C4 z4 |")) == [55, 60, 60, 60, 60]
    assert grid(read("A, | C4 E4 |")) == [60, 60, 64, 64]  # the upbeat is on no place


def test_ornaments_between_the_places_keep_the_grid() -> None:
    plain = read("C2E2 G2c2 | B2G2 D2G2 |")
    turned = read("CD/C/E2 GA/G/c2 | B2GA/G/ DE/D/G2 |")
    assert grid(plain) == grid(turned)
    assert set(figures(plain)) & set(figures(turned))


@pytest.mark.parametrize("semitones", [-7, 3, 12])
def test_another_key_changes_nothing(semitones: int) -> None:
    assert figures(abc.parse(transpose(TUNE, semitones))).tolist() == (
        figures(abc.parse(TUNE)).tolist()
    )


def test_another_unit_length_changes_nothing() -> None:
    same = TUNE.replace("L:1/8", "L:1/16").replace("M:4/4", "M:2/4")
    assert figures(abc.parse(same)).tolist() == figures(abc.parse(TUNE)).tolist()


def test_every_run_of_each_kind_is_a_figure() -> None:
    """16 notes that all differ: 15 intervals, and 7 between the 8 places of the grid."""
    score = read("CDEF GABc | d^dfg ^gab'c'' |")
    assert len(melodic_steps(score)) == 15
    assert len(grid(score)) == 8
    assert len(figures(score)) == (15 - 5) + (15 - 4) + (7 - 4)


def test_a_tune_without_a_melody_has_no_figures() -> None:
    assert len(figures(read("z8 | C8 | C8 |"))) == 0
