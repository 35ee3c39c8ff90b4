"""Texts are cut at stop strings, however they arrive."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from musicllm.serve.api.stops import Cutter


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize(
    ("text", "stops", "shown"),
    [
        ("abcabcabd and more", ["abcabd"], "abc"),
        ("aaab", ["aab"], "a"),
        ("one\n\ntwo", ["\n\n"], "one"),
        ("first second", ["second", "first"], ""),
        ("ends in ab", ["abc"], "ends in ab"),
        ("nothing", [], "nothing"),
        ("♯♭♮", ["♮"], "♯♭"),
    ],
)
def test_the_text_ends_before_the_first_stop(
    size: int, text: str, stops: list[str], shown: str
) -> None:
    cutter = Cutter(stops)
    pieces = [cutter.take(text[start : start + size]) for start in range(0, len(text), size)]
    assert "".join((*pieces, cutter.rest())) == cutter.text == shown
    assert cutter.is_stopped == (shown != text)


def test_what_may_begin_a_stop_is_held_back() -> None:
    cutter = Cutter(["end"])
    assert [cutter.take(piece) for piece in ("the e", "n", "try")] == ["the ", "", "entry"]
