"""Music in a text becomes marks, and comes back byte by byte."""

import pytest

from musicllm.music.masks import is_chord_name, masked, without_marks

TUNE = "X:1\nL:1/8\nM:2/4\nK:D\n|: DEFG | A2 B2 :|"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            f"A tune:\n{TUNE}\n\nWhat is its key?",
            "A tune:\n[[1]]\n\nWhat is its key?",
        ),
        ("Translate the chords.\n'A', 'D', 'E7', 'E/G#', 'Bm'", "Translate the chords.\n[[1]]"),
        ("By form and motif. A;X:1\nL:1/4\nM:2/2\nK:F\n['c A']", "By form and motif. [[1]]"),
        ("By form. 'Binary', 'Sectional: Verse/Chorus';X:1\nL:1/8\nK:D", "By form. [[1]]"),
        ("What could be made of |dcd efd|?", "What could be made of [[1]]?"),
        ("动机是 |dcd efd|，请写完。", "动机是 [[1]]，请写完。"),
        ("Develop |: DEFG | A2 B2 :| in D major.", "Develop [[1]] in D major."),
        (
            "I play Am, C, G7. Begin:\nM:4/4\nL:1/8",
            "I play [[1]]. Begin:\n[[2]]",
        ),
        ("为这些和弦写一首曲子：C、G、Am、F。", "为这些和弦写一首曲子：[[1]]。"),
        ("A {rhythm} in `abc`, see [[7]].", "A [[1]] in [[2]], see [[3]]."),
        ("Do you know Ed, Bob and Gail? A good tune, a bad dance.",) * 2,
        ("Write a reel in D major, with a C chord and an F#.",) * 2,
    ],
)
def test_music_becomes_marks_and_comes_back(text: str, expected: str) -> None:
    result = masked(text)
    assert result.text == expected
    assert result.restored(expected) == text


def test_marks_that_are_lost_doubled_or_new_are_noticed() -> None:
    result = masked("Over C, G write a tune like |: DEFG | A2 B2 :| today.")
    assert result.text == "Over [[1]] write a tune like [[2]] today."
    assert result.restored("像 [[ 2 ]] 一样，用 [[1]]。") == "像 |: DEFG | A2 B2 :| 一样，用 C, G。"
    for wrong in ("[[1]]", "[[1]] [[1]] [[2]]", "[[1]] [[2]] [[3]]", "nothing"):
        assert result.restored(wrong) is None
    assert without_marks("[[1]] is [[2]]").split() == ["is"]


def test_chord_names_are_told_from_words() -> None:
    assert all(map(is_chord_name, ("Am", "F#m7b5", "C/E", "Bb", "Gsus4", "Cmaj7", "Edim")))
    assert not any(map(is_chord_name, ("A", "Go", "Do", "Add", "Bad", "Ed", "X7", "Gail")))
