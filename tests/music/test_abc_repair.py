from __future__ import annotations

import pytest

from musicllm.music.abc import AbcError, canonical, parse
from musicllm.music.abc.repair import repair

TUNE = 'X:1\nT:O\u2019Hara\nL:1/8\nM:4/4\nK:D\n"D"A2FA d\'A^FA-|A>cBA FAdA |]'


def test_a_valid_tune_comes_back_as_it_is() -> None:
    assert repair(TUNE, complete=True) == (TUNE, ())


@pytest.mark.parametrize(
    ("spoiled", "name"),
    [
        (TUNE.replace("\n", "\r\n"), "line ends"),
        (TUNE.replace("\n", "</s>\n") + "</s>", "end-of-text marks"),
        (TUNE.replace("\n", "<br />"), "end-of-text marks"),
        (TUNE.replace("\n", "\\n").replace('"D"', '\\"D\\"'), "escaped line feeds"),
        (TUNE.replace(">", "&gt;").replace('"', "&quot;"), "character entities"),
        (TUNE.replace('"D"', "“D”").replace("'", "’"), "typographic characters"),
        (TUNE.replace("-|", "–|").replace("FA ", "FA\u00a0"), "typographic characters"),
        (TUNE.replace("^F", "♯F").replace("|]", "｜]"), "typographic characters"),
        (TUNE.replace("M:", "M：").replace("\u2019", "："), "typographic characters"),
        (TUNE.replace("\n", "\n    "), "indented lines"),
        (TUNE.replace("\n", "\n \n"), "blank lines"),
        (TUNE.replace("\nM:", " M:"), "single line"),
        (TUNE.replace("K:D\n", "K: D "), "single line"),
        (TUNE.removeprefix("X:1\n"), "missing X:"),
        (TUNE.removesuffix(" |]"), "missing final bar line"),
    ],
)
def test_each_repair_restores_the_music(spoiled: str, name: str) -> None:
    mended, names = repair(spoiled, complete=True)
    assert name in names
    assert canonical(mended) == canonical(TUNE)
    assert repair(mended, complete=True) == (mended, ())


@pytest.mark.parametrize(
    "line",
    ['V:1 nm="Violin\\n1"', "N:Smith &amp; Sons", '"^dolce &quot; \\n"A2|', '"^l’istesso"A2|'],
)
def test_texts_of_a_tune_that_can_be_read_stay(line: str) -> None:
    text = TUNE.replace("K:D\n", f"K:D\n{line}\n")
    assert repair(text, complete=True) == (text, ())


@pytest.mark.parametrize(
    ("field", "mended"),
    [
        ("K:F sharp minor", "K:F# minor"),
        ("K:B-flat", "K:Bb"),
        ("K:A harmonic minor", "K:A minor"),
        ("K:E-minor", "K:E minor"),
        ("K:Gmaj.", "K:Gmaj"),
        ("M:common time", "M:C"),
        ("M:c|", "M:C|"),
        ("M:Cut Time", "M:C|"),
        ("M:6\\8", "M:6/8"),
        ("M:3/4 time", "M:3/4"),
        ("L:1/8th", "L:1/8"),
        ("L:/16", "L:1/16"),
        ("M : 3/4", "M:3/4"),
    ],
)
def test_header_spellings(field: str, mended: str) -> None:
    lines = {"X": "X:1", "L": "L:1/8", "M": "M:4/4", "K": "K:D"}
    text = "\n".join({**lines, field[0]: field}.values()) + "\nA2 |]"
    assert repair(text) == (text.replace(field, mended), ("header spellings",))
    parse(repair(text)[0])


@pytest.mark.parametrize("field", ["K:H", "K:d", "M:13", "L:3/8", "K:Bn", "M:four"])
def test_what_has_no_single_reading_stays(field: str) -> None:
    lines = {"X": "X:1", "L": "L:1/8", "M": "M:4/4", "K": "K:D"}
    text = "\n".join({**lines, field[0]: field}.values()) + "\nA2 |]"
    assert repair(text) == (text, ())
    with pytest.raises(AbcError):
        parse(text)


def test_a_tune_without_key_stays() -> None:
    assert repair("X:1\nM:4/4\nDEFG", complete=True) == ("X:1\nM:4/4\nDEFG", ())


def test_an_excerpt_needs_no_final_bar_line() -> None:
    assert repair(TUNE.removesuffix(" |]"))[1] == ()


def test_the_final_bar_line_stands_behind_the_music() -> None:
    open_end = TUNE.removesuffix(" |]")
    assert repair(f"{open_end}%end\nw:la la", True)[0] == f"{TUNE} %end\nw:la la"


@pytest.mark.parametrize("end", ["|", "||", ":|", ":|2", "| %end", "|\nw:la la", "|]*", "|:"])
def test_many_things_end_a_tune(end: str) -> None:
    text = TUNE.removesuffix("|]") + end
    assert repair(text, complete=True) == (text, ())
