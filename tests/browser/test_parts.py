"""An answer is cut into words and tunes in the browser as on the server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Visits
from tests.browser.site import TUNE

SECOND = "X:2\nM:4/4\nL:1/4\nK:C\nC D E F | G4 |]"

TEXTS = {
    "words": "A reel is a dance in 4/4.",
    "a tune": TUNE,
    "words around": f"Here it is.\n\n{TUNE}\nDo you like it?",
    "words at once before it": f"Here it is:\n{TUNE}",
    "a code block": f"Here:\n\n```abc\n{TUNE}```\n\nAnd so on.",
    "two tunes": f"{TUNE}\nand\n\n{SECOND}\n\nthat is all",
    "two tunes without a blank line": f"{TUNE}{SECOND}",
    "emoji": f"\U0001f3b5 \U0001f3bb Listen:\n\n{TUNE}\n\U0001f600",
    "a line of blanks": f"{TUNE}   \nmore",
    "no digit": "X: marks the spot",
}

PARTS = """async ([text, asksServer]) => {
    const { partsOf, tunesInText } = await import("/static/js/chat/parts.js");
    const { checkTunes } = await import("/static/js/api.js");
    const spans = asksServer ? tunesInText(text, await checkTunes(text)) : undefined;
    return partsOf(text, { spans }).map(({ kind, text }) => [kind, text]);
}"""

GROWING = """async (text) => {
    const { partsOf } = await import("/static/js/chat/parts.js");
    let written = "";
    return Array.from(text, (character) => {
        written += character;
        return partsOf(written, { isComplete: false });
    });
}"""


@pytest.mark.slow
def test_parts_are_those_of_the_server(visits: Visits) -> None:
    page = visits.open()
    tune = TUNE.strip()
    expected = {
        "words": [["words", TEXTS["words"]]],
        "a tune": [["tune", tune]],
        "words around": [["words", "Here it is."], ["tune", tune], ["words", "Do you like it?"]],
        "words at once before it": [["words", "Here it is:"], ["tune", tune]],
        "a code block": [["words", "Here:"], ["tune", tune], ["words", "And so on."]],
        "two tunes": [["tune", tune], ["words", "and"], ["tune", SECOND], ["words", "that is all"]],
        "two tunes without a blank line": [["tune", tune], ["tune", SECOND]],
        "emoji": [
            ["words", "\U0001f3b5 \U0001f3bb Listen:"],
            ["tune", tune],
            ["words", "\U0001f600"],
        ],
        "a line of blanks": [["tune", tune], ["words", "more"]],
        "no digit": [["words", "X: marks the spot"]],
    }
    assert set(expected) == set(TEXTS)
    for name, text in TEXTS.items():
        for asks_server in (False, True):
            assert page.evaluate(PARTS, [text, asks_server]) == expected[name], (name, asks_server)


@pytest.mark.slow
def test_a_growing_text_never_takes_words_back(visits: Visits) -> None:
    """What is shown as words stays words, and a tune begins with its number: nothing jumps."""
    page = visits.open()
    for name in ("words around", "a code block", "two tunes", "emoji"):
        before: list[Any] = []
        for parts in page.evaluate(GROWING, TEXTS[name]):
            for old, new in zip(before, parts, strict=False):
                assert old["kind"] == new["kind"], name
                assert new["text"].startswith(old["text"]), (name, old["text"], new["text"])
            assert len(parts) >= len(before), name
            before = parts
