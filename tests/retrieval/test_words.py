"""Words that are looked up, in English and Chinese."""

from __future__ import annotations

import pytest

from musicllm.retrieval.words import counted, singular, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Réels of TULLOCH", ["the", "reel", "of", "tulloch"]),
        ("O'Neill\u2019s Fancy, no. 2", ["oneill", "fancy", "no", "2"]),
        ("6/8, F#m", ["6/8", "f#m"]),
        ("大调", ["大", "调", "大调"]),
        (
            "写一首G大调的",
            ["写", "一", "首", "写一", "一首", "g", "大", "调", "的", "大调", "调的"],
        ),
        ("", []),
        ("_ -- !", []),
    ],
)
def test_words_of_a_text(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [("jigs", "jig"), ("ladies", "lady"), ("waltzes", "waltze"), ("lass", "lass"), ("us", "us"),
     ("shoes", "shoe"), ("chorus", "chorus")],
)  # fmt: skip
def test_english_plurals(word: str, expected: str) -> None:
    assert singular(word) == expected


def test_words_are_counted_once_each() -> None:
    hashes, counts = counted("a jig, two jigs, A JIG")
    assert sorted(counts.tolist()) == [1, 2, 3]
    assert len(set(hashes.tolist())) == 3
