from __future__ import annotations

import pytest

from musicllm.music.abc import canonical
from musicllm.music.abc.chord_symbols import is_chord, read_chord, symbol_over_note

SAME = {
    "C": "C, CM, Cmaj, CMajor, C/C, (C)",
    "Bb": "Bb, B♭",
    "Cm": "Cm, Cmin, C-, Cmi, cm, C−",
    "C7": "C7, Cdom7, C⁷",
    "Cmaj7": "Cmaj7, CMaj7, CM7, Cma7, C^7, CΔ, CΔ7, C△7, C7M",
    "C6": "C6, Cadd6, CM6",
    "C69": "C69, C6/9, C6(9), C9/6, C6add9",
    "Cm7": "Cm7, C-7, Cmin7, cm7",
    "Cmmaj7": "CmM7, CmMaj7, Cm(maj7), C-Δ, Cm/maj7",
    "Cdim": "Cdim, C°, Co, Cmb5, Cm(b5)",
    "Cdim7": "Cdim7, C°7, Co7",
    "Cm7b5": "Cm7b5, Cm7(b5), Cm7-5, Cø, Cø7, C-7b5",
    "Caug": "Caug, C+, Caug, C(#5)",
    "Caug7": "Caug7, C+7, C7#5, C7+5, C7(#5), C7aug",
    "Csus4": "Csus4, Csus",
    "C7sus4": "C7sus4, C7sus, Csus7",
    "C9": "C9, C7add9",
    "C7b9": "C7b9, C7(b9), C7-9",
    "C7#9": "C7#9, C7(#9), C7+9",
    "C7alt": "C7alt, Calt",
    "Cadd9": "Cadd9, C(add9), Cadd2",
    "C5": "C5, C(no3), Comit3, C no3, Cno3rd",
    "C(b5)": "C(b5)",
    "F#m7/C#": "F#m7/C#, F♯m7/c♯, F#-7/c#",
    "G7/B": "G7/B, G7/b",
    "D/F#": "D/f#, D/f+, D / F#",
    "G(Em)": "G(Em), G (Em), G( Em )",
    "Am7/G(C/E)": "Am7/g(C/e), Am7/g (C/E)",
    "N.C.": "N.C., NC, n.c., No chord, tacet",
}


@pytest.mark.parametrize("wanted", SAME)
def test_equal_chords_have_one_spelling(wanted: str) -> None:
    spellings = [text.strip() for text in SAME[wanted].split(",")]
    for text in spellings:
        chord = read_chord(text)
        assert chord is not None, text
        assert chord.symbol == wanted, text
    assert read_chord(wanted) == read_chord(spellings[-1])


@pytest.mark.parametrize(
    ("symbol", "steps"),
    [
        ("Cmaj7#11", {0, 4, 7, 11, 6}),
        ("C7b9#5", {0, 4, 8, 10, 1}),
        ("C7b9#9", {0, 4, 7, 10, 1, 3}),
        ("C13b9", {0, 4, 7, 10, 1, 9}),
        ("C7(13)", {0, 4, 7, 10, 9}),
        ("Cm11", {0, 3, 7, 10, 2, 5}),
        ("C7no5", {0, 4, 10}),
        ("C9sus4", {0, 5, 7, 10, 2}),
        ("Cmadd9", {0, 3, 7, 2}),
        ("Cdim7", {0, 3, 6, 9}),
        ("C6/9", {0, 4, 7, 9, 2}),
    ],
)
def test_tones(symbol: str, steps: set[int]) -> None:
    chord = read_chord(symbol)
    assert chord is not None
    assert chord.steps == steps
    assert read_chord(chord.symbol) == chord


@pytest.mark.parametrize(
    "text",
    [
        "H", "H7", "a", "d7", "f#", "/F#", "C2", "C4", "C7+", "G;D", "G D", r"G\nD", "V7", "IV",
        "Sol7", "Cis", "As7", "C-5", "C(9)", "C/9", "Dm7/9", "C7/E/G", "A minor", "A b", "Cdim9",
        "Cmsus4", "C5b9", "Cm7alt", "C7(b9", "G(Em)(D)", "x" * 50, "Hello", "",
    ],
)  # fmt: skip
def test_what_names_no_chord_or_several_is_not_read(text: str) -> None:
    assert read_chord(text) is None


@pytest.mark.parametrize(
    ("quoted", "wanted"),
    [
        ('"^G"', None), ('"_G"', None), ('"<G"', None), ('">G"', None), ('"@1,2 G"', None),
        ('"4"', None), ('"(3)"', None), ('"~"', None), ('""', None), ('"D.C."', None),
        ('"Segno"', None), ('" D.S. al Fine "', None), ('"ff"', None), ('"dim."', None),
        ('"f"', "f"), ('"H7"', "H7"), ('"two  words"', "two words"), ('"G7/b"', "G7/B"),
    ],
)  # fmt: skip
def test_text_over_a_note_is_an_annotation_a_chord_or_kept(quoted: str, wanted: str | None) -> None:
    assert symbol_over_note(quoted) == wanted
    assert is_chord(wanted or "") == (wanted == "G7/B")


def test_the_normal_form_keeps_every_chord_and_what_may_be_one() -> None:
    text = 'X:1\nL:1/8\nM:4/4\nK:C\n"G7/b"B4 "CMaj7" c4|"H7"B4 "^up""4"c4|"D.C.""C6/9"G8|]\n'
    wanted = 'X:1\nL:1/8\nM:4/4\nK:C\n"G7/B"B4 "Cmaj7"c4 | "H7"B4 c4 | "C69"G8 |]\n'
    assert canonical(text) == wanted
    assert canonical(wanted) == wanted
