from __future__ import annotations

import pytest

from musicllm.music.abc import canonical, canonical_bar, parse

SOURCE = """X: 12
T:The Title
C:Composer
M:C|
R: Reel
K:E Minor
P:A
| "Am7" A > B  (3 c,c'C [ C E G ]2 | {g}!trill!.~A2-A (AB)-|B1 "^hi"x2 A2/4 A3/2:: % remark
w:la la
[K:D minor] B2 \\
"4"c2 | Z1 |1 d4 :|2
M:6/8
Z2|e
"""


def test_everything_at_once() -> None:
    assert canonical(SOURCE) == (
        "X:1\nR:reel\nL:1/8\nM:2/2\nK:Em\n"
        '"Am7"A>B (3Cc\'C [CEG]2 | A2-A AB- | B z2 A/ A3/ :|\n'
        "|: [K:Dm]B2 c2 | Z |1 d4 :|2 [M:6/8]Z2 | e |]\n"
    )


def test_what_can_be_kept() -> None:
    text = "X:1\nM:4/4\nL:1/8\nK:C\n{g}!trill!.A2-(AB)-c +fermata+ TB |]"
    assert canonical(text).split("\n")[-2] == "A2-ABc B |]"
    assert canonical(text, keep_grace=True).split("\n")[-2] == "{g}A2-ABc B |]"
    assert canonical(text, keep_slurs=True).split("\n")[-2] == "A2-(AB-)c B |]"
    assert canonical(text, keep_decorations=True).split("\n")[-2] == (
        "!trill!.A2-ABc +fermata+TB |]"
    )


def test_fields_can_be_chosen() -> None:
    assert canonical(SOURCE, fields=("T", "M", "L", "K")).startswith(
        "T:The Title\nM:2/2\nL:1/8\nK:Em\n"
    )


@pytest.mark.parametrize("fields", [("X", "L", "M"), ("L", "K"), ("K", "L", "M"), ()])
def test_fields_without_meaning_are_refused(fields: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="must hold L and M, and K at the end"):
        canonical(SOURCE, fields=fields)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("A8", "A8 |]"),
        ("A8|", "A8 |]"),
        ("A8||", "A8 |]"),
        ("A8:|", "A8 :|"),
        ("|:A8:||:B8:|", "|: A8 :|\n|: B8 :|"),
        ("|:A8::B8:|", "|: A8 :|\n|: B8 :|"),
        ("A8|:B8:|", "A8 |\n|: B8 :|"),
        ("A8||B8|]c8", "A8 ||\nB8 |]\nc8 |]"),
        ("A8|[1B8:|[2c8|]", "A8 |1 B8 :|2 c8 |]"),
        ("A8|\n|B8|", "A8 | B8 |]"),
        ("A4\nB4|", "A4 B4 |]"),
        ("A2B2 c2`d2|", "A2B2 c2d2 |]"),
        ("^c8-|c8", "^c8- | c8 |]"),
        ("A8-|B8", "A8 | B8 |]"),
        ("^c8-|=c8", "^c8 | =c8 |]"),
        ("A8-|", "A8 |]"),
        ("[AC]4 - [AC]4", "[AC]4- [AC]4 |]"),
        ("V:1\nA8|\nK:G\nV:2\nF8|", "[V:1] A8 |\n[V:2] F8 |]"),
        ("V:1\nA8|\nV:2\nE8|\nV:1\nB8|", "[V:1] A8 |\n[V:2] E8 |\n[V:1] B8 |]"),
    ],
)
def test_bodies(body: str, wanted: str) -> None:
    text = canonical("X:1\nM:4/4\nL:1/8\nK:C\n" + body)
    assert text == f"X:1\nL:1/8\nM:4/4\nK:C\n{wanted}\n"
    assert canonical(text) == text


def test_score_and_text_give_the_same() -> None:
    assert canonical(parse(SOURCE)) == canonical(SOURCE)


def test_long_sections_are_wrapped() -> None:
    text = canonical("X:1\nM:4/4\nL:1/8\nK:C\n" + "ABcd efga |\n" * 1000)
    assert max(map(len, text.split("\n"))) < 2_100
    assert canonical(text) == text


def test_bar() -> None:
    assert canonical_bar('{g}"Am" A2 (B c,)') == '"Am"A2 B C'
