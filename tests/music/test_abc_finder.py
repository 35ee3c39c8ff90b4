from __future__ import annotations

import pytest

from musicllm.music.abc.finder import find_tunes, may_hold_tune
from tests.music.effort import count_calls

TUNE = 'X:1\nT:The Test\nL:1/8\nM:4/4\nK:D\n|:"D"A2FA dAFA|BcBA FAdA:|'
FOLDED = "X:1 L:1/8 M:4/4 K:D |: A2FA dAFA | BcBA FAdA :|"


def found(text: str) -> list[str]:
    return [text[tune.start : tune.stop] for tune in find_tunes(text)]


@pytest.mark.parametrize("before", ["", "Here it is:\n\n", "Sure! Your tune: ", "Assistant: "])
@pytest.mark.parametrize(
    "behind",
    ["", "</s>", "\n\nIt is a reel.", "\nIt is a reel.", "\n\nThe form is |:A:|:B:|.", "\n"],
)
@pytest.mark.parametrize("tune", [TUNE, FOLDED, TUNE.replace("\n", "\\n")])
def test_a_tune_amid_prose(before: str, tune: str, behind: str) -> None:
    assert found(before + tune + behind) == [tune]


@pytest.mark.parametrize(
    "tune",
    [
        TUNE.replace("\n", "\r\n"),
        TUNE.replace("\n", "</s>\n"),
        TUNE.replace("\n", "<br>"),
        TUNE.replace("\n", "\n\n"),
        TUNE.replace("\n", "\n  "),
        TUNE.replace("K:D\n", "K:D\n\n"),
        TUNE.replace("K:D\n", "K:D "),
        TUNE.replace("\nM:", " M:"),
        TUNE.replace("M:", "a line that is no field\nM:"),
        TUNE + "\nw:Words be-low the notes\nA4 B4|]",
        TUNE + ' "Fine"A8 | % the end',
        "L:1/8\nM:4/4\nK:D\nA2FA|",
        "K:D\nM:4/4\nL:1/8\nA2FA|",
        "T:The Test\nM:4/4\nK:D\nA2FA|",
        "X:1\nM:4/4\nK:what is this\nA2FA dAFA|",
        "X:1\nL:1/8\nM:4/4\nDEFG ABcd|",
        "X:1\nL:1/8\nM:4/4\nL:1/16\nK:D\nDEFG ABcd|",
    ],
)
def test_forms_of_a_tune(tune: str) -> None:
    assert found(f"Play this:\n{tune}\n\nThen rest.") == [tune]


def test_several_tunes() -> None:
    text = f"First {FOLDED} then:\n```abc\n{TUNE}\n```\nand {FOLDED} X:2 {FOLDED[4:]}</s>"
    assert found(text) == [FOLDED, TUNE, FOLDED, f"X:2 {FOLDED[4:]}"]


def test_music_ends_before_prose_on_its_line() -> None:
    assert found(f"It goes ({FOLDED}), as you know.") == [FOLDED]
    assert found(f"{FOLDED} This tune is in D.") == [FOLDED]


def test_a_tune_in_quotation_marks_is_marked() -> None:
    text = '"A": "L:1/8\\nM:3/2\\nK:C\\n A6 \\"G\\"G3 A z A |] %1","B": "L:1/8\nM:3/2\nK:C\nc12 |]"'
    assert [tune.quoted for tune in find_tunes(text)] == [True, True]
    assert found(text) == [
        'L:1/8\\nM:3/2\\nK:C\\n A6 \\"G\\"G3 A z A |] %1',
        "L:1/8\nM:3/2\nK:C\nc12 |]",
    ]


@pytest.mark.parametrize(
    "prose",
    [
        "Key: A\nMode: minor\nA bad cabbage | a faded bead",
        "K: value\nM: 12:30\nL: 5",
        "M: 3/4 of the class, K: A to G\nThe rest | is left",
        "Meeting\nM: 4/4\nK: C\nThe minutes | were read | by all",
        "Let X: 5 and Y: 7, hence K: A | B | C",
        "X: 3\nWhat is it?\nK: nothing",
        "The field K:D says D major, M:4/4 the metre, and L:1/8 the unit.",
        "Write a tune with these headers:\nX:1\nL:1/8\nM:6/8\nK:G\n\nThank you!",
        "Constants: K: C = 6.02e23 and L: 1/2 | mol",
        "| K: A | M: 2/4 |\n| --- | --- |\n| value | other |",
        "Chords: K: Am F C G, then Dm | G | C",
        "K+ and KCl: K: C8H10N4O2 | L: 1/4",
        "A: C major\nB: D major\nK: G\nQ: Which key has one sharp?",
        'config = {"K": "A", "M": "4/4"}\nK: C\nL: 1/8\nprint("|")',
    ],
)
def test_prose_is_no_tune(prose: str) -> None:
    assert found(prose) == []


def test_most_texts_need_no_search() -> None:
    assert not may_hold_tune("The key of A is bright; the metre 4/4 is plain: nothing more.")
    assert find_tunes("") == []
    assert may_hold_tune(TUNE)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ('"K:C ' * 4000, 0),
        ("X:1\n" * 4000, 0),
        ("X:1 K:C " * 3000, 0),
        ("K:C\nM:4/4\n" * 4000, 0),
        ("X:1\nK:C\n" + "h[K:| " * 4000, 1),
        ("X:1\nM:4/4\nK:C\nc|" + "<s\\ " * 4000, 1),
    ],
)
def test_hostile_text_costs_no_more_than_its_length(text: str, most: int) -> None:
    assert len(find_tunes(text)) <= most
    assert count_calls(find_tunes, text) < 20 * len(text)


def test_written_out_line_feed_inside_a_line_of_a_tune_is_text() -> None:
    tune = 'X:1\nL:1/4\nK:C\nV:1 nm="Violin\\n1" snm="stop the"\nC4|\n"^slow\\nthen quick"D4|]'
    assert [tune[found.start : found.stop] for found in find_tunes(tune)] == [tune]
