from __future__ import annotations

import pytest

from musicllm.errors import RenderError
from musicllm.music.render.sanitize import sanitize

HEAD = "M:4/4\nL:1/8\nK:C\n"


@pytest.mark.parametrize(
    "line",
    [
        "%%abc-include /etc/passwd",
        "  %%abc-include /etc/passwd",
        "\\%%abc-include /etc/passwd",
        "I:abc-include /etc/passwd",
        " I : abc-include /etc/passwd",
        "I:abc-charset x\n+:abc-include /etc/passwd",
        "[I:abc-include /etc/passwd]",
        "[I[I:x]:abc-include /etc/passwd]",
        "[I:x]I:abc-include /etc/passwd",
        "\u200b%%abc-include /etc/passwd",
        "\x01%\x02%abc-include /etc/passwd",
        "[I:abc-include /etc/passwd",
    ],
)
def test_no_instruction_passes(line: str) -> None:
    assert sanitize(f"X:7\n{HEAD}CDEF|\n{line}\nGABc|\n") == f"X:1\n{HEAD}CDEF|\nGABc|\n"


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x85", "\u2028"])
def test_a_directive_behind_an_unusual_line_end_is_found(end: str) -> None:
    assert "include" not in sanitize(f"X:1\n{HEAD}CDEF|{end}%%abc-include /etc/passwd\nG|")


def test_keeps_what_belongs_to_the_tune() -> None:
    tune = (
        f'X:1\nT:Fünf & 100000 <b>\n{HEAD}V:1\n"Am"A,\'B^c_d=e [CE]2 (3abc|1 G4:|2 z4|]\n+:more\n'
    )
    assert sanitize(tune) == tune
    assert sanitize(f"X:1\n{HEAD}CD % two notes\n") == f"X:1\n{HEAD}CD\n"


def test_takes_the_first_tune_only() -> None:
    two = f"Here is a tune:\n\nX:99999999\n{HEAD}CDEF|\n\nI hope you like it.\nX:2\n{HEAD}G|\n"
    assert sanitize(two) == f"X:1\n{HEAD}CDEF|\n"
    assert sanitize(f"X:1\n{HEAD}C|\nX:2\n{HEAD}G|") == f"X:1\n{HEAD}C|\n"


def test_adds_a_missing_reference_number() -> None:
    assert sanitize(f"\n{HEAD}CDEF|") == f"X:1\n{HEAD}CDEF|\n"


def test_lone_surrogates_do_not_survive() -> None:
    assert sanitize(f"{HEAD}C\ud800D|") == f"X:1\n{HEAD}CD|\n"


@pytest.mark.parametrize(
    ("abc", "message"),
    [
        ("\n \n", "there is no tune to render"),
        ("%%only\n", "there is no tune to render"),
        (HEAD + "C" * 64_000, "the tune has 64,016 characters; at most 64,000"),
        (HEAD + "C\n" * 2_000, "the tune has 2,003 lines; at most 2,000"),
        (HEAD + "C" * 5_001, "5,001 characters in one line; at most 5,000"),
        (HEAD + "".join(f"[V:{i}]C|\n" for i in range(17)), "17 voices; at most 16"),
        (HEAD + "Z99999999|", "a number above 9,999"),
        ("M:99999999/1\nK:C\nC|", "a number above 9,999"),
        (HEAD + "V:1 stafflines=99999999\nC|", "a number above 9,999"),
        (HEAD + "C" + "'" * 9, "more than 8 octave marks"),
        (HEAD + "C" + "," * 4_000, "more than 8 octave marks"),
    ],
)
def test_refuses_what_breaks_engines(abc: str, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        sanitize(abc)
