from __future__ import annotations

import pytest

from musicllm.evals.generation.adherence import Adherence, adherence, edit_similarity
from musicllm.evals.generation.motif_forms import motif_form
from musicllm.evals.requests import Request
from musicllm.music import abc

HEADER = "X:1\nR:reel\nL:1/4\nM:4/4\nK:C\n"


def kept(music: str, header: str = HEADER, **traits: str) -> Adherence:
    """Return what a tune keeps of some conditions."""
    return adherence(Request("", "", traits), abc.parse(header + music))


@pytest.mark.parametrize(
    ("first", "second", "similarity"),
    [
        ("kitten", "sitting", 1 - 3 / 7),
        ("", "", 1.0),
        ("abc", "", 0.0),
        ("AABB", "AAB", 0.75),
        ("AB", "AB", 1.0),
    ],
)
def test_edit_similarity(first: str, second: str, similarity: float) -> None:
    assert edit_similarity(first, second) == pytest.approx(similarity)
    assert edit_similarity(second, first) == pytest.approx(similarity)


def test_key_metre_and_type() -> None:
    result = kept("CDE^F|GABc|", key="G major", metre="3/4", rhythm="Reel")
    assert (result.key_as_asked, result.metre_as_asked, result.rhythm_as_asked) == (
        False,
        False,
        True,
    )
    assert result.key_fit_as_asked == 1.0  # C major has F sharp in it by accident, G by its key
    assert kept("CDEF|", key="G major").key_fit_as_asked == 0.75
    assert kept("CDEF|", rhythm="jig").rhythm_as_asked is False
    assert kept("CDEF|", rhythm="tune").rhythm_as_asked is None


def test_chords() -> None:
    music = '"C"CDEF|"G7"GABc|"C/E"c4|]'
    assert kept(music, chords="C G7 C").chords_as_asked is True
    result = kept(music, chords="C F G7 C")
    assert (result.chords_as_asked, result.chord_adherence) == (False, 0.75)
    assert kept("CDEF|GABc|", chords="C G").chord_adherence == 0.0


def test_chords_are_equal_by_root_and_tones_however_they_are_written() -> None:
    music = '"CMaj7"CDEF|"G7/b"GABc|"C69"c4|"N.C."c4|]'
    assert kept(music, chords="C^7 G7 C6/9 NC").chords_as_asked is True
    assert kept('"C6"CDEF|', chords="Am7").chords_as_asked is False  # of the same tones
    assert kept('"Gb"CDEF|', chords="F#").chords_as_asked is True
    assert kept('"C"CDEF|"H7"GABc|', chords="C").chord_adherence == 0.5


def test_motif() -> None:
    result = kept("CDEF|GABc|CDEF|c4|]", motif="CDEF")
    assert (result.motif_as_asked, result.motif_times, result.motif_form) == (True, 2, "exact")
    result = kept("DEFG|GABc|c4|]", motif="CDEF")
    assert (result.motif_as_asked, result.motif_times, result.motif_form) == (
        False,
        0,
        "transposed",
    )
    result = kept("c2G2|c4|]", motif="CDEF")
    assert (result.motif_as_asked, result.motif_form) == (False, "none")


@pytest.mark.parametrize(
    ("music", "form"),
    [
        ("cdef|CEDG|", "exact"),
        ("cdef|D^FEA|", "transposed"),  # by two semitones
        ("cdef|DFEA|", "transposed"),  # by a step of the scale
        ("cdef|zC ED|Gc3|", "exact"),  # across the bar line
        ("c4|C2E2|D2G2|", "augmented"),
        ("c4|C/E/D/G/ c2|", "augmented"),
        ("c4|cABF|", "inverted"),
        ("cccc|GDEC|", "retrograde"),
        ("c4|C3E|D3G|", "pitches"),
        ("c4|cccG|", "rhythm"),
        ("c4|c2G2|", None),
    ],
)
def test_forms_of_a_motif(music: str, form: str | None) -> None:
    assert motif_form(abc.parse(HEADER + music), "CEDG") == form


def test_short_motifs_are_looked_for_as_given_only() -> None:
    assert motif_form(abc.parse(HEADER + "DF3|"), "C2E2") is None
    assert motif_form(abc.parse(HEADER + "D2F2|"), "C2E2") is None
    assert motif_form(abc.parse(HEADER + "C2E2|"), "C2E2") == "exact"


def test_motif_is_read_under_the_header_that_was_given() -> None:
    score = abc.parse("X:1\nL:1/8\nM:4/4\nK:C\nC2E2D2G2|")
    assert motif_form(score, "CEDG") == "augmented"
    assert motif_form(score, "CEDG", "X:1\nL:1/4\nM:4/4\nK:C") == "exact"
    assert motif_form(score, "CEDG", "X:1\nL:1/4\nM:4/4\nK:G") == "exact"
    assert motif_form(score, "no motif !", "") is None


def test_form_in_letters_and_in_terms() -> None:
    music = "CDEF|GABc:|cccc|dddd:|"
    assert kept(music, form="AABB").form_as_asked is True
    result = kept(music, form="AAB")
    assert (result.form_as_asked, result.form_adherence) == (False, 0.75)
    assert kept(music, terms="'Binary'").form_as_asked is True
    result = kept(music, terms="'Binary', 'Sectional: Verse/Chorus'")
    assert (result.form_as_asked, result.form_adherence) == (False, 0.5)


def test_first_bars() -> None:
    opening = HEADER + "C | CDEF | GABc |"
    assert kept("C | C D E F | GABc | c4 |]", opening=opening).first_bars_as_asked is True
    result = kept("C | CDEF | GGGG | c4 |]", opening=opening)
    assert (result.first_bars_as_asked, result.first_bars_kept) == (False, pytest.approx(2 / 3))
    assert kept("C |]", opening=opening).first_bars_kept == pytest.approx(1 / 3)
    assert kept("CDEF|", opening="no tune").first_bars_kept is None


def test_what_is_no_tune_keeps_nothing() -> None:
    traits = {
        "key": "C major",
        "metre": "4/4",
        "rhythm": "reel",
        "chords": "C G",
        "motif": "CDEF",
        "form": "AB",
        "opening": HEADER + "CDEF |",
    }
    result = adherence(Request("", "", traits), None)
    assert result.motif_form == "none"
    assert all(value == 0 for name, value in vars(result).items() if name != "motif_form")
