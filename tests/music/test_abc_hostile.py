from __future__ import annotations

import pytest

from musicllm.errors import InputError
from musicllm.music.abc import AbcError, Limits, parse
from tests.music.effort import count_calls

HEAD = "X:1\nM:4/4\nL:1/8\nK:C\n"

BODIES = [
    ("CDEF [CEG", 'line 5, column 6: chord "[CEG" is never closed'),
    ("A2 {abc", 'line 5, column 4: grace notes "{abc" are never closed'),
    ('A2 "Am A |', 'line 5, column 4: quoted text "Am A is never closed'),
    ("A |\nB2 A/0 |", 'line 6, column 4: "A/0" has a length of 1/0'),
    ("A0", 'line 5, column 1: "A0" has a length of 0/1'),
    ("A0/0", 'line 5, column 1: "A0/0" has a length of 0/0'),
    ("A99999999", 'line 5, column 1: "A99999999" has an absurd length'),
    ("A////////", 'line 5, column 1: "A////////" has an absurd length'),
    ("A8192", 'line 5, column 1: "A8192" is longer than 16 whole notes'),
    ("A/17", 'line 5, column 1: "A/17" divides a note by 17'),
    ("Z99999999|", 'line 5, column 1: "Z99999999" rests for an absurd number of bars'),
    ("Z0|", 'line 5, column 1: "Z0" rests for an absurd number of bars'),
    ("Z4999|A|A|A", "line 5: more than 5,000 bars"),
    ("C" + "," * 5000, 'line 5, column 1: "C,,,,,,,,,,,,,,,,,,,,..." has more than 4 octave marks'),
    ("b''''", "line 5, column 1: the note is outside MIDI's range of 0 to 127"),
    ("A|::::::::|B", 'line 5, column 2: bar line "|::::::::|" has too many marks'),
    ("A |999999 B", 'line 5, column 3: ending "999999" is above 16'),
    ("(99ABc", 'line 5, column 1: tuplet "(99" is absurd'),
    ("(3:0:3ABc", 'line 5, column 1: tuplet "(3:0:3" is absurd'),
    ("(3A(3ABc", 'line 5, column 4: tuplet "(3" starts inside another'),
    ("A>>>>B", 'line 5, column 2: broken rhythm ">>>>" is absurd'),
    ("A><B", 'line 5, column 2: broken rhythm "><" is absurd'),
    (">A", "line 5, column 1: broken rhythm has no note before it"),
    ("A&B", 'line 5, column 2: voice overlays ("&") are not supported; use a second "V:"'),
    ("A ] B", 'line 5, column 3: "]" is not an ABC character here'),
    ("A : B", 'line 5, column 3: ":" is not an ABC character here'),
    ("A é", 'line 5, column 3: "é" is not an ABC character here'),
    (
        "^/A",
        'line 5, column 1: "^" stands before no note; microtones ("^/c") are not supported',
    ),
    ("^^^A", 'line 5, column 1: "^^^A" is no note'),
    ("[]", 'line 5, column 1: chord "[]" has no notes'),
    ("[C E;]", 'line 5, column 1: "[C E;]" is no chord'),
    ("{1}A", 'line 5, column 1: "{1}" holds no grace notes'),
    ("[K:Q]A", 'line 5: "K:Q" names no key'),
    ("V:\nA", 'line 5: "V:" names no voice'),
    ("M:9/0\nA", 'line 5: "M:9/0" names no metre'),
    ("A |\n\nMore", "line 6: a blank line ends the tune, but more text follows"),
    ("A" * 10_001, "line 5: longer than 10,000 characters"),
    ("z8 | Z2 |", "the tune has no notes"),
    ("", "the tune has no notes"),
]

TEXTS = [
    (" \n", "the text is empty"),
    ("X:1\nM:4/4\nL:1/8\nCDEF", 'line 4: "CDEF" is no header field, and no "K:" came yet'),
    ("X:1\nM:4/4", 'the tune has no "K:" line'),
    ("X:1\nM:4/4\n\nK:C\nA", 'line 3: a blank line ends the header before its "K:" line'),
    ("X:1\nM:99999999/1\nK:C\nA", 'line 2: "M:99999999/1" names no metre'),
    ("X:1\nM:0/4\nK:C\nA", 'line 2: "M:0/4" names no metre'),
    ("X:1\nM:4/4\nL:1/0\nK:C\nA", 'line 3: "L:1/0" names no note length from 1 to 1/64'),
    ("X:1\nM:4/4\nK:H\nA", 'line 3: "K:H" names no key'),
    ("X:1\nM:3/4 C 9/0\nK:C\nA", 'line 2: "M:9/0" names no metre'),
    ("X:1\nM:1/4 2/4 3/4 4/4 5/4\nK:C\nA", 'line 2: "M:1/4 2/4 3/4 4/4 5/4" names no metre'),
    (HEAD + "A|\n" * 40_000, "the tune is longer than 100,000 characters"),
    (
        HEAD + "".join(f"V:{n}\nA\n" for n in range(33)),
        "line 69: more than 32 voices",
    ),
]


@pytest.mark.parametrize(("body", "message"), BODIES)
def test_broken_bodies(body: str, message: str) -> None:
    with pytest.raises(AbcError) as caught:
        parse(HEAD + body)
    assert str(caught.value) == message


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_broken_texts(text: str, message: str) -> None:
    with pytest.raises(AbcError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_error_carries_its_parts() -> None:
    with pytest.raises(InputError) as caught:
        parse(HEAD + "A é B")
    error = caught.value
    assert isinstance(error, AbcError)
    assert (error.reason, error.line, error.column) == ('"é" is not an ABC character here', 5, 3)


def test_column_counts_in_the_source_line() -> None:
    with pytest.raises(AbcError, match="line 5, column 21: "):
        parse(HEAD + 'A "Am" B | [V:2]  C é |')


def test_limits_can_be_changed() -> None:
    tight = Limits(max_note_wholes=1)
    assert parse(HEAD + "A9").bars
    with pytest.raises(AbcError, match='"A9" is longer than 1 whole notes'):
        parse(HEAD + "A9", tight)


@pytest.mark.parametrize(
    "body", ["[" * 9999, '"' * 9999, "!" * 9999, "[A:" * 3333, "(" * 9999, "A-" * 4999, "^" * 9999]
)
def test_repetition_costs_no_more_than_its_length(body: str) -> None:
    assert count_calls(parse, HEAD + body) < 20 * len(body)
