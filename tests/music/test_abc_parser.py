from __future__ import annotations

from fractions import Fraction

import pytest

from musicllm.music.abc import Note, Score, parse, unfold

HEAD = "X:1\nM:4/4\nL:1/8\nK:C\n"


def read(body: str, key: str = "C", metre: str = "4/4") -> Score:
    return parse(f"X:1\nM:{metre}\nL:1/8\nK:{key}\n{body}")


def notes(body: str, key: str = "C", metre: str = "4/4") -> list[Note]:
    return [note for bar in read(body, key, metre).bars for note in bar.notes]


def pitches(body: str, key: str = "C") -> list[int]:
    return [note.pitches[0] for note in notes(body, key) if note.pitches]


def eighths(body: str, metre: str = "4/4") -> list[Fraction]:
    """Durations in units of L:1/8."""
    return [note.duration * 8 for note in notes(body, metre=metre)]


def test_score_header() -> None:
    score = parse("X: 3\nT:First\nT:Second\nR:jig\nM:C|\nL:1/16\nK:Gm % flat\nG4|]")
    assert score.header == {"X": "3", "T": "First", "R": "jig", "M": "C|", "L": "1/16", "K": "Gm"}
    assert (score.metre, score.metre_text) == (Fraction(1), "2/2")
    assert score.unit_length == Fraction(1, 16)
    assert score.key.name == "Gm"


@pytest.mark.parametrize(
    ("metre", "length", "text"),
    [
        ("C", Fraction(1), "4/4"),
        ("6/8", Fraction(3, 4), "6/8"),
        ("2+3/8", Fraction(5, 8), "5/8"),
        ("none", None, "none"),
    ],
)
def test_metres(metre: str, length: Fraction | None, text: str) -> None:
    score = read("A", metre=metre)
    assert (score.metre, score.metre_text) == (length, text)


def test_unit_length_follows_the_metre_when_missing() -> None:
    assert parse("X:1\nM:2/4\nK:C\nA").unit_length == Fraction(1, 16)
    assert parse("X:1\nM:3/4\nK:C\nA").unit_length == Fraction(1, 8)


def test_octaves() -> None:
    assert pitches("C, C c c' c, C'") == [48, 60, 72, 84, 60, 72]


def test_key_signature_and_accidentals_hold_to_the_bar_line() -> None:
    assert pitches("F f ^G G g =F F | G F", key="G") == [66, 78, 68, 68, 80, 65, 65, 67, 66]


def test_accidentals_hold_over_a_line_end_inside_a_bar() -> None:
    assert pitches("^G2 A2\nG4 | G") == [68, 69, 68, 67]


def test_double_accidentals() -> None:
    assert pitches("^^C __D _E") == [62, 60, 63]


def test_tie_carries_an_accidental_over_the_bar_line() -> None:
    assert pitches("^c8- | c4 c4") == [73, 73, 72]
    assert pitches("^c8 - | c4 c4") == [73, 73, 72]
    assert pitches("(^c8)-| c4 c4") == [73, 73, 72]
    assert pitches("^c8 | c4") == [73, 72]


def test_remembered_bars_are_read_in_their_own_state() -> None:
    assert pitches("c4 c4 | ^c8- | c4 c4 | c4 c4 |") == [72, 72, 73, 73, 72, 72, 72]


def test_lengths() -> None:
    wanted = ["1", "2", "1/2", "1/2", "1/4", "3/2", "1/4", "3/2"]
    assert eighths("A A2 A/ A/2 A// A3/2 A/4 A3/") == [Fraction(text) for text in wanted]


def test_broken_rhythm() -> None:
    assert eighths("A>B A<B A>>B A<<B2 A > B") == [
        Fraction(n, 4) for n in (6, 2, 2, 6, 7, 1, 1, 14, 6, 2)
    ]


def test_tuplets() -> None:
    assert eighths("(3ABc A") == [Fraction(2, 3)] * 3 + [1]
    assert eighths("(2AB (4ABcd") == [Fraction(3, 2)] * 2 + [Fraction(3, 4)] * 4
    assert eighths("(5ABcde") == [Fraction(2, 5)] * 5
    assert eighths("(5ABcde", metre="6/8") == [Fraction(3, 5)] * 5
    assert eighths("(3:2:2A2B A") == [Fraction(4, 3), Fraction(2, 3), 1]
    assert eighths("(3::4ABcd e") == [Fraction(2, 3)] * 4 + [1]
    assert eighths('(3"Am"A{g}Bc') == [Fraction(2, 3)] * 3


def test_chords() -> None:
    (chord, after) = notes("[^CE2G]2 C")
    assert chord == Note((61, 64, 67), Fraction(1, 4))
    assert after.pitches == (61,)
    assert notes('["3"C.E!trill!G]-[CEG]')[0].tie


def test_grace_notes_are_left_out() -> None:
    assert pitches("{^c}c {/B}A2") == [72, 69]


def test_chord_symbols_and_annotations() -> None:
    found = [note.chord_symbol for note in notes('"Am7"A "^slow"B "4"c "F#m/C#" d "C"|e "A b"f')]
    assert found == ["Am7", None, None, "F#m/C#", "C", "A b"]


def test_two_chords_over_one_note_are_not_one_of_them() -> None:
    found = [note.chord_symbol for note in notes('"A""F#m"A "D" "^up" B c|')]
    assert found == ["A;F#m", "D", None]
    assert len(notes('"A"' * 500 + "B|")[0].chord_symbol or "") == 200


def test_decorations_slurs_and_layout_change_nothing() -> None:
    plain = notes("A2 B2 c4|")
    assert notes("!trill!A2 .~HTuvB2 +fermata+(c4)|") == plain
    assert notes("A2`B2 y3 $ c4!|\\\n% remark\nw:la la\nW:words\n%%directive\nr:remark") == plain


def test_rests() -> None:
    assert [(note.pitches, note.duration) for note in notes("z2 x4 A2")] == [
        ((), Fraction(1, 4)),
        ((), Fraction(1, 2)),
        ((69,), Fraction(1, 4)),
    ]
    bars = read("A8 | Z3 | X | A8 |").bars
    assert [bar.duration for bar in bars] == [1] * 6
    assert [len(bar.notes) for bar in bars] == [1] * 6


def test_bars_repeats_and_endings() -> None:
    bars = read("|: A8 | B8 |1 c8 :|2 d8 || [3 e8 :: f8 |]").bars
    assert [bar.text for bar in bars] == ["A8", "B8", "c8", "d8", "e8", "f8"]
    assert [bar.opens_repeat for bar in bars] == [True, False, False, False, False, True]
    assert [bar.closes_repeat for bar in bars] == [False, False, True, False, True, False]
    assert [bar.ending for bar in bars] == ["", "", "1", "2", "3", ""]
    assert [bar.opens_section for bar in bars] == [True, False, True, True, True, True]
    assert [bar.closes_section for bar in bars] == [False, True, True, True, True, True]


def test_neighbouring_bar_lines_are_one() -> None:
    bars = read("A8 |\n:| |: B8 |").bars
    assert len(bars) == 2
    assert bars[0].closes_repeat
    assert bars[1].opens_repeat
    assert bars[1].closes_section


def test_bar_over_two_lines() -> None:
    (first, second) = read("A4\nB4 | c8").bars
    assert (first.text, first.line, first.duration) == ("A4 B4", 5, 1)
    assert second.line == 6


def test_fields_inside_the_tune() -> None:
    bars = read("F8 |[K:G][M:3/4] F6 | [L:1/4] F3 |\nK:F\nM:2/4\nB2|").bars
    assert [bar.notes[0].pitches[0] for bar in bars] == [65, 66, 66, 70]
    assert [bar.metre for bar in bars] == [1, Fraction(3, 4), Fraction(3, 4), Fraction(1, 2)]
    assert [bar.duration for bar in bars] == [bar.metre for bar in bars]
    assert [bar.key.name for bar in bars] == ["C", "G", "G", "F"]


def test_voices_keep_their_own_state() -> None:
    score = read("V:1 name=Flute\nc4 [K:G]f4 |\n[V:2] ^G4\n[V:1]f8|\nV:2\nG4 | F8 |\n")
    assert score.voices == ("1", "2")
    assert [[n.pitches for n in bar.notes] for bar in score.voice("1")] == [[(72,), (78,)], [(78,)]]
    assert [[n.pitches for n in bar.notes] for bar in score.voice("2")] == [[(68,), (68,)], [(65,)]]


def test_voice_change_inside_a_bar_keeps_the_notes() -> None:
    score = read("A4 [V:2] C8 | [V:1] B4 |")
    assert [[n.pitches[0] for n in bar.notes] for bar in score.voice("1")] == [[69, 71]]
    assert [[n.pitches[0] for n in bar.notes] for bar in score.voice("2")] == [[60]]


def test_unfold_takes_the_single_line_form_apart() -> None:
    folded = "X:1 T:My Tune L:1/8 M:2/4 K:E minor |: G2BG A2cA :| V:2 M:3/4 B6 |]</s>"
    assert unfold(folded) == (
        "X:1\nT:My Tune\nL:1/8\nM:2/4\nK:E minor\n|: G2BG A2cA :|\nV:2\nM:3/4\nB6 |]"
    )
    assert parse(folded).key.name == "Em"


def test_unfold_does_not_take_a_field_for_a_mode() -> None:
    assert unfold("X:1 L:1/8 K:G M:3/4 A6") == "X:1\nL:1/8\nK:G\nM:3/4\nA6"


def test_unfold_leaves_a_normal_tune_alone() -> None:
    text = HEAD + "CDEF GABc |\nM:3/4\nA6 |]"
    assert unfold(text) == text
    assert unfold(text + "</s>\n") == text
