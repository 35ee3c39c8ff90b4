"""Bars, and errors, found again in the text of a tune."""

from __future__ import annotations

import pytest

from musicllm.music.abc import AbcError, parse
from musicllm.music.abc.places import parse_with_places, place_of_error

HEAD = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:C\n"


def marked(text: str) -> list[str]:
    score, places = parse_with_places(text)
    assert score == parse(text)
    return [text[start:stop] for start, stop in places]


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        (f"{HEAD}|:CDEF GABc|C8:|\n", ["CDEF GABc", "C8"]),
        (f"{HEAD} CDEF\nGABc | C8 |]", ["CDEF\nGABc", "C8"]),
        (f"{HEAD}C8|\\\nD8|E8", ["C8", "D8", "E8"]),
        (f"{HEAD}C8|Z2|D8|", ["C8", "Z2", "Z2", "D8"]),
        ("X:1 T:b M:4/4 L:1/8 K:C CDEF GABc| D8 |]</s>", ["CDEF GABc", "D8"]),
        (HEAD.replace("\n", "\r\n") + "C8|\r\nD8|", ["C8", "D8"]),
        (f"\n\n{HEAD}C8|", ["C8"]),
        (f"{HEAD}%%begintext\nA page\n%%endtext\nC8| % rest\nD8|", ["C8", "D8"]),
        (f'{HEAD}["1st time" C8 :|[2 D8|]', ['"1st time" C8', "D8"]),
        (f"{HEAD}[V:1]C8|D8|\n[V:2]E8|\n[V:1]c8|\n[V:2]F8|", ["C8", "D8", "E8", "c8", "F8"]),
        (f"{HEAD}V:1\nC8|\nV:2\nE4\nV:1\nD8|\nV:2\nE4|", ["C8", "D8", "E4\nV:1\nD8|\nV:2\nE4"]),
    ],
)
def test_bars_are_found_in_the_text(text: str, bars: list[str]) -> None:
    assert marked(text) == bars


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"{HEAD}C8|CD£F|", "£"),
        (f"\n{HEAD}C8|\nCD£F|", "£"),
        ("X:1 M:4/4 L:1/8 K:C C8|CD£F|", "£"),
        (HEAD.replace("M:4/4", "M:4/5") + "C8|", "M:4/5"),
        ("X:1\nhello\nK:C\nC|", "hello"),
        ("hello", "hello"),
        ("X:1\nM:4/4\n", None),
    ],
)
def test_errors_are_found_in_the_text(text: str, place: str | None) -> None:
    with pytest.raises(AbcError) as caught:
        parse(text)
    found = place_of_error(text, caught.value)
    assert (found and text[found[0] : found[1]]) == place
