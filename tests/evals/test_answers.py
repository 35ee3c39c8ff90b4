from __future__ import annotations

import pytest

from musicllm.evals.answer_extraction import extract

KEYS = ("C major", "B-flat major", "D minor", "A minor")
SEVENTHS = ("Major seventh", "Major seventh in third inversion", "Dominant seventh", "Tritone")


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        # the first word
        ("B", "B"),
        (" B\n\nWhich of the following is a fifth?\nA. C to G\nB. C to F", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("b)", "B"),
        ("(c) because of the leading tone", "C"),
        ("B. Dominant seventh in second inversion", "B"),
        ("B) Dominant seventh", "B"),
        ("B: Dominant seventh", "B"),
        ("**B**", "B"),
        ("**B. Dominant**", "B"),
        ("[D]", "D"),
        ("'D'", "D"),
        ("Option C.", "C"),
        ("C - the others have sharps", "C"),
        ("Ｂ．", "B"),
        # statements
        ("The answer is C", "C"),
        ("The answer is (C).", "C"),
        ("The correct answer is: D. It has two flats.", "D"),
        ("Answer: A", "A"),
        ("answer: b", "B"),
        ("The correct answer to this question is therefore B.", "B"),
        ("The best choice would be option C.", "C"),
        ("Option B is correct.", "B"),
        ("I think (D) is clearly the best answer here.", "D"),
        ("I would choose option A because it has a raised seventh.", "A"),
        ("It has one sharp, so it is B.", "B"),
        ("Therefore, C.", "C"),
        (r"Hence $\boxed{D}$", "D"),
        (r"Hence \boxed{\text{D}}.", "D"),
        ("The answer is **A**, because B is wrong.", "A"),
        ("The incorrect statement is D.", "D"),
        ("I'd say (B).", "B"),
        ("The correct option would be (A) Major seventh.", "A"),
        ("ANSWER: B", "B"),
        # the last statement stands
        ("The answer is A. No, wait: B.", "B"),
        ("At first the answer is A, but on reflection the answer is D.", "D"),
        ("A. C is the tonic. Thus the answer is B.", "B"),
        ("Let me see:\nA. no\nB. no\nC. yes\nD. no\n\nThe answer is C.", "C"),
        ("B\n\nWhat is a fifth?\nA. x\nB. y\nC. z\nD. w\nAnswer: C", "B"),
        ("The answer is B.\n\nNext?\nA. x\nB. y\nC. z\nD. w\nAnswer: D\n", "B"),
        # negations
        ("The answer is not A. The answer is C.", "C"),
        ("The answer cannot be A, so the answer is D.", "D"),
        ("I do not think the answer is A; option B is correct.", "B"),
        ("Option A is incorrect. Option B is wrong. Option C fits the metre.", "C"),
        ("We can rule out (A). Only (B) has a leading tone.", "B"),
        # Chinese
        ("答案是B", "B"),
        ("答案：（C）", "C"),
        ("正确答案是 D。", "D"),
        ("故选A。", "A"),
        ("因此，应该选择B选项。", "B"),
        ("选项C是正确的。", "C"),
        ("B正确，因为它有一个升号。", "B"),
        ("不选A，选B。", "B"),
        ("A选项错误，答案为D", "D"),
        ("正确的选项是C", "C"),
    ],
)
def test_a_stated_letter_is_read(text: str, letter: str) -> None:
    assert extract(text) == letter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "I do not know.",
        "A major scale has seven notes.",
        "A perfect fifth.",
        "The answer is not A.",
        "The answer is A or B.",
        "Both A and B are correct answers.",
        "The answer isn't B.",
        "答案不是A",
        "D.C. al Fine means from the beginning.",
        "The answer is a major triad.",
        "The answer is C major.",
        "The answer is B-flat.",
        "答案是C大调",
        "Bach wrote it.",
        "(A) and (C) are both possible.",
        "The wrong answer is A.",
        "B和C都正确",
        "The answer: the key is D minor",
        "the note A" + " " * 20_000 + "or",
    ],
)
def test_what_states_no_letter_is_none(text: str) -> None:
    assert extract(text) is None


@pytest.mark.parametrize(
    ("text", "options", "letter"),
    [
        ("D minor", KEYS, "C"),
        ("d minor.", KEYS, "C"),
        ("The answer is C major.", KEYS, "A"),
        ("The answer is B-flat major", KEYS, "B"),
        ("The piece is in A minor, as its G sharp shows.", KEYS, "D"),
        ("It is not C major but D minor.", KEYS, "C"),
        ("C major has no sharps. Therefore the answer is A minor.", KEYS, "D"),
        ("C. P. E. Bach", ("C. P. E. Bach", "A. Vivaldi", "Mozart", "Haydn"), "A"),
        ("A. Vivaldi\nHe wrote them.", ("C. P. E. Bach", "A. Vivaldi", "Mozart", "Haydn"), "B"),
        ("C. Mozart", ("C. P. E. Bach", "A. Vivaldi", "Mozart", "Haydn"), "C"),
        ("A and B", ("A and B", "B and C", "C", "none"), "A"),
        ("4", ("2", "3", "4", "5"), "C"),
        ("C major and A minor share a signature.", KEYS, None),
        ("Major seventh in third inversion", SEVENTHS, "B"),
        ("This is a major seventh in third inversion.", SEVENTHS, "B"),
        ("AB", ("AB", "BC", "CD", "AD"), "A"),
        ("The answer is BC.", ("AB", "BC", "CD", "AD"), "B"),
        ("There are 3 ways.", ("2", "3", "4", "5"), None),
        ("The answer is 4.", ("2", "3", "4", "5"), "C"),
        ("The answer is C.", ("C", "G", "F", "D"), "C"),
        ("tritone", ("tritone", "Tritone", "fifth", "fourth"), None),
        ("Tritone\n\nIt has six semitones.", SEVENTHS, "D"),
        ("nothing of it", ("", "x y z", "", ""), None),
    ],
)
def test_an_option_may_be_repeated_instead(
    text: str, options: tuple[str, ...], letter: str | None
) -> None:
    assert extract(text, options) == letter
