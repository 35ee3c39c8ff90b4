from __future__ import annotations

import pytest

from musicllm.data.instructions import phrasings
from musicllm.evals.requests import Asked, asked, find_tune
from musicllm.music.abc import parse_key

TUNE = "X:1\nL:1/8\nM:6/8\nK:D\nABc def|"


@pytest.mark.parametrize("wording", phrasings()["metadata_to_tune"])
@pytest.mark.parametrize(
    ("key", "abc_key"), [("D major", "D"), ("F# minor", "F#m"), ("A dorian", "Ador")]
)
def test_metre_and_key_in_words(wording: str, key: str, abc_key: str) -> None:
    prompt = wording.format(rhythm="reel", key=key, metre="6/8")
    assert asked(prompt) == Asked("6/8", parse_key(abc_key))


def test_metre_and_key_as_fields() -> None:
    assert asked(f"Go on:\n{TUNE}") == Asked("6/8", parse_key("D"))
    assert asked("M:C\nL:1/4\nK:Bbm") == Asked("4/4", parse_key("Bbm"))


@pytest.mark.parametrize(
    "prompt",
    [
        "Write a tune around this motif: A3/2B/2 c/4 | z3/2 d2",
        "Write a melody over these chords: Am D7 G",
        "Write a tune in the form AABB.",
        "Please, a tune with L:1/8, or L: 1/8.",
        "M:77/8 and K:Zz",
    ],
)
def test_nothing_stated(prompt: str) -> None:
    assert asked(prompt) == Asked(None, None)


def test_flats_and_sharps_in_words() -> None:
    assert asked("a waltz in B flat major").key == parse_key("Bb")
    assert asked("a waltz in C♯ minor").key == parse_key("C#m")
    assert asked("a waltz in Fb dorian").key is None


def test_tune_is_found_up_to_the_blank_line() -> None:
    assert find_tune(f"Here it is:\n{TUNE}\nGAB|\n\nEnjoy!\nX:2") == f"{TUNE}\nGAB|"
    assert find_tune("X:1 L:1/8 M:2/4 K:G G2BG | A2 |") == "X:1\nL:1/8\nM:2/4\nK:G\nG2BG | A2 |"
    assert find_tune("I cannot. MAX:1") == ""
