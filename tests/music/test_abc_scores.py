"""What scores hold that programs such as MuseScore write by way of xml2abc, and old books."""

from __future__ import annotations

from fractions import Fraction

import pytest

from musicllm.music.abc import canonical, check, parse

HEAD = "X:1\nL:1/4\nM:4/4\n"


def body(tune: str) -> str:
    """Return the normal form behind its header, as it is written again."""
    text = canonical(tune)
    assert canonical(text) == text
    return text.split("\nK:")[1]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("bass", "D"),
        (" treble", "D"),
        (" clef=alto", "D"),
        ("clef=bass3 stafflines=1", "D"),
        ("treble_8", "D"),
        ("treble8", "D"),
        ("perc", "D"),
        ("", "none"),
        ("none", "none"),
        ("G clef=bass", "G"),
        ("Dmix=c", "Dmix"),
        ("Dmix^g clef=alto", "Dmix ^g"),
        ("Bb bass", "Bb"),
    ],
)
def test_key_field_that_names_a_clef_keeps_the_key(field: str, name: str) -> None:
    for change in (f"[K:{field}]", f"\nK:{field}\n"):
        score = parse(f"{HEAD}K:D\nDEFG|{change}DEFG|")
        assert [bar.key.name for bar in score.bars] == ["D", name]
        assert parse(canonical(score)).bars[1].key == score.bars[1].key


def test_field_line_that_goes_on() -> None:
    tune = "X:1\nL:1/4 \\\nM:3/4\\\nK:G \\\nGAB|\nK:C \\\nM:4/4 \\\nCDEF|"
    assert canonical(tune) == "X:1\nL:1/4\nM:3/4\nK:G\nGAB | [K:C][M:4/4]CDEF |]\n"


def test_header_whose_key_is_a_clef_or_empty_has_none() -> None:
    assert body(f"{HEAD}K:bass\nCDEF|") == body(f"{HEAD}K:\nCDEF|") == "none\nCDEF |]\n"


def test_tune_without_metre_is_free() -> None:
    score = parse("X:1\nK:C\nC2DE FGA|B|")
    assert (score.metre, score.metre_text, score.unit_length) == (None, "none", Fraction(1, 8))
    assert not check(score).faults
    assert canonical(score).split("\n")[1:3] == ["L:1/8", "M:none"]


def test_bars_take_the_metre_that_they_need() -> None:
    score = parse("X:1\nL:1/4\nM:3/4 4/4\nK:C\nCDE|CDEF|CDE|CD|[M:2/4 C]C4|")
    metres = [Fraction(3, 4), Fraction(1), Fraction(3, 4), Fraction(3, 4), Fraction(1)]
    assert [bar.metre for bar in score.bars] == metres
    assert [fault.bar for fault in check(score).faults] == [3]
    again = parse(canonical(score))
    assert again.metre_text == score.metre_text == "3/4 4/4"
    assert [bar.metre for bar in again.bars] == metres


def test_reserved_characters_are_read_over() -> None:
    assert body(f"{HEAD}K:C\nCD;E@F|#G?A*Bc|") == "C\nCDEF | GABc |]\n"


def test_endings_with_a_text() -> None:
    tune = f'{HEAD}K:C\n|:CDEF|["1st time"G4:|["2."A4|]["Coda" c4|["Am"CEG]4|'
    assert body(tune) == ("C\n|: CDEF |1 G4 :|2 A4 |]\nc4 | [CEG]4 |]\n")
    assert [bar.ending for bar in parse(tune).bars] == ["", "1", "2", "", ""]


def test_voices_are_named_where_they_have_notes() -> None:
    tune = "V:S\nV:T alto\n%%score S T\nK:G\nV:S\n[M:3/4]G3|\nV:T\n[K:bass]\nV:S\nA3|\nV:T\nD4|"
    assert body(f"{HEAD}{tune}") == "G\n[V:S] [M:3/4]G3 | A3 |\n[V:T] D4 |]\n"
    late = "K:G\nV:1 treble\nV:2 bass\nV:1\nG4|\nV:2\nD4|"
    assert body(f"{HEAD}{late}") == "G\n[V:1] G4 |\n[V:2] D4 |]\n"


def test_score_as_musescore_and_xml2abc_write_it() -> None:
    tune = """X:1
T:Title
%%score { ( 1 2 ) | 3 }
L:1/8
Q:1/4=96
M:3/4
I:linebreak $
K:Bb
V:1 treble nm="Piano\\n1" snm="Pno."
V:2 treble
V:3 bass
L:1/16
V:1
"^Andante"!p! d4 (3:2:3e2f2g2 !fermata!f4 |$[K:bass][I:staff +1] {/c}B,6 [K:treble] x6 |]
w: Oh! my * dear_ friend;
V:2
 B8 z4 | Z |]
V:3
%%MIDI program 0
 [B,,F,]12- | [B,,F,]6 z6 |]
"""
    assert body(tune) == (
        "Bb\n[V:1] d4 (3:2:3e2f2g2 f4 | B,6 z6 |]\n[V:2] B8 z4 | Z |]\n"
        "[V:3] [L:1/16][B,,F,]12- | [B,,F,]6 z6 |]\n"
    )
