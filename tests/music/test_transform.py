from __future__ import annotations

import pytest

from musicllm.music.abc import AbcError, canonical, parse
from musicllm.music.transform import transpose


def move(body: str, semitones: int, key: str = "C") -> tuple[str, str]:
    text = transpose(f"X:1\nL:1/8\nM:4/4\nK:{key}\n{body}", semitones)
    head, _, rest = text.partition("\nK:")
    assert head == "X:1\nL:1/8\nM:4/4"
    name, _, music = rest.partition("\n")
    return name, music.rstrip("\n")


def test_zero_is_the_canonical_form() -> None:
    text = "X:1\nL:1/8\nM:C\nK:G\n(A2{g}B2) ^c4|"
    assert transpose(text, 0) == canonical(text)
    assert transpose(parse(text), 0) == canonical(text)


@pytest.mark.parametrize(
    ("body", "semitones", "key", "name", "music"),
    [
        ("CDEF GABc |]", 2, "C", "D", "DEFG ABcd |]"),
        ("CDEF GABc |]", -1, "C", "B,", None),
        ("FGA^F =F4 |]", 2, "G", "A", "GAB^G =G4 |]"),
        ("^F G _B4 |]", 1, "C", "Db", "=G A _c4 |]"),
        ("CEGc |]", 12, "C", "C", "cegc' |]"),
        ("CEGc |]", -12, "C", "C", "C,E,G,C |]"),
        ("A^G A2 |]", 3, "Am", "Cm", "c=B c2 |]"),
        ("^^F4 |]", 4, "G", "B", "^^A4 |]"),
        ("^c8- | c8 |]", 1, "C", "Db", "=d8- | d8 |]"),
        ("[CEG]4 z4 |]", 7, "C", "G", "[GBd]4 z4 |]"),
        ("A8 |]", 2, "none", "D", "B8 |]"),
        ("A8 |]", 2, "HP", "Bmix", "B8 |]"),
        ("D8 |]", 2, "Ddor ^c", "Edor ^d", "E8 |]"),
        ("C8 | [K:G] F8 |]", 2, "C", "D", "D8 | [K:A]G8 |]"),
        # G# leads to A as E# leads to F#; F# and F stay D# and D
        ("A^GAe f^f=f2 |]", -3, "Am", "F#m", "F^EFc d^d=d2 |]"),
        # the leading note of Dm is C#, that of Gm F#; B natural becomes E natural
        ("D^CDE =B_BA2 |]", 5, "Dm", "Gm", "G^FGA =e_ed2 |]"),
        # E dorian has F# and C#; six flats more, its E flat is a B double flat
        ("ef ^c_e =e2 |]", 6, "Edor", "Bbdor", "bc' =g__b _b2 |]"),
        ("Bd _B2 ^A2 |]", -1, "Emix", "Ebmix", "Bd __B2 =A2 |]"),
        # C is C flat in G flat major, so C sharp is two semitones higher: F double sharp in C
        ("[CEG]2 [^C_E]2 |]", 6, "Gb", "C", "[FAc]2 [^^F=A]2 |]"),
        ("[K:G]F2 [K:Dm]B2 ^c2 | F4 |]", 3, "C", "Eb", "[K:Bb]A2 [K:Fm]d2 =e2 | A4 |]"),
    ],
)
def test_moves(body: str, semitones: int, key: str, name: str, music: str | None) -> None:
    found, moved = move(body, semitones, key)
    if music is None:
        assert (found, moved) == ("B", "B,CDE FGAB |]")
    else:
        assert (found, moved) == (name, music)


def test_chord_symbols_move() -> None:
    _, music = move('"C"C4 "Am7/G"c2 "F#dim"A2 |]', 1)
    assert music == '"Db"D4 "Bbm7/Ab"d2 "Gdim"B2 |]'


def test_only_roots_and_basses_of_chord_symbols_move() -> None:
    _, music = move('"F#m7b5"A2 "Bb/D"d2 "E7#9"e2 "Gsus4"g2 |]', 2, "D")
    assert music == '"G#m7b5"B2 "C/E"e2 "F#7#9"f2 "Asus4"a2 |]'
    assert move('"Cm"c4 "G7/B"B4 |]', 1, "Cm") == ("C#m", '"C#m"c4 "G#7/B#"B4 |]')
    _, music = move('"G7/b"B4 "N.C."c2 "G(Em7/d)"d2 |]', 2)
    assert music == '"A7/C#"c4 "N.C."d2 "A(F#m7/E)"e2 |]'


def test_a_chord_symbol_that_cannot_be_read_does_not_move_silently() -> None:
    with pytest.raises(AbcError, match='"H7" over a note is no chord symbol that can be moved'):
        move('"H7"B4 "^up""D.C."B4 |]', 2)
    assert move('"^up""D.C."B4 |]', 2)[1] == "c4 |]"


@pytest.mark.parametrize("mode", ["", "m", "dor", "phr", "lyd", "mix", "loc"])
def test_signatures_have_at_most_six_accidentals(mode: str) -> None:
    for semitones in range(-11, 12):
        score = parse(transpose(f"X:1\nL:1/8\nM:4/4\nK:D{mode}\nD8|", semitones))
        assert len(score.key.accidentals) <= 6
        assert score.key.tonic_pitch_class == (2 + semitones) % 12


def test_six_sharps_or_six_flats_follow_the_old_key() -> None:
    assert move("G8 |]", -1, "G")[0] == "F#"
    assert move("F8 |]", 1, "F")[0] == "Gb"


def test_leaving_the_range_is_an_error() -> None:
    with pytest.raises(AbcError) as caught:
        transpose("X:1\nL:1/8\nM:4/4\nK:C\nC8|", 90)
    assert str(caught.value) == "transposing by 90 semitones leaves MIDI's range"
