from __future__ import annotations

import pytest

from musicllm.errors import RenderError
from musicllm.music.abc import AbcError, canonical, find_tunes, parse
from musicllm.music.abc.prose import comment_out
from musicllm.music.render import sanitize

PLAIN = "X:1\nL:1/8\nM:4/4\nK:C\nC8 | D8 |]\n"
BLOCK = "%%begintext\nAdd a bead, Dad:\n|: abc :|\nK:F\n%%endtext\n"
POSTSCRIPT = "%%beginps\n/gace{gsave T 0 0 moveto\ndup show}!\n%%endps\n"
HISTORY = "H:Collected\nin the north, and has\na fade\n"
WITH_PROSE = [
    pytest.param(PLAIN.replace("D8", f"\n{BLOCK}D8"), id="text in the music"),
    pytest.param(PLAIN.replace("M:", f"{BLOCK}M:"), id="text in the header"),
    pytest.param(PLAIN.replace("M:", f"{POSTSCRIPT}M:"), id="PostScript"),
    pytest.param(PLAIN.replace("M:", f"{HISTORY}M:"), id="old history"),
    pytest.param(PLAIN.replace("D8", '"^100\\% swing"D8'), id="percent sign"),
]


@pytest.mark.parametrize("tune", WITH_PROSE)
def test_prose_is_read_over(tune: str) -> None:
    assert canonical(tune) == PLAIN
    assert parse(tune).bars[-1].text.endswith("D8")


@pytest.mark.parametrize("tune", WITH_PROSE)
def test_prose_belongs_to_the_tune_that_is_found(tune: str) -> None:
    (found,) = find_tunes(f"Look:\n\n{tune}\n\nNice!")
    assert canonical(f"Look:\n\n{tune}"[found.start : found.stop]) == PLAIN


@pytest.mark.parametrize("tune", WITH_PROSE)
def test_engines_do_not_play_prose(tune: str) -> None:
    music = sanitize(tune).split("K:C\n")[1].replace('"^100\\% swing"', "")
    assert music.replace("\n", " ") == "C8 | D8 |] "
    assert sanitize(sanitize(tune)) == sanitize(tune)
    assert "north" not in sanitize(tune)


def test_lines_keep_their_numbers() -> None:
    tune = PLAIN.replace("M:", f"{BLOCK}{HISTORY}M:")
    assert comment_out(comment_out(tune)) == comment_out(tune)
    assert parse(tune).bars[0].line == tune[: tune.index("C8")].count("\n") + 1


def test_unended_block() -> None:
    tune = PLAIN + BLOCK.replace("%%endtext", "")
    message = '"%%begintext" is never ended by "%%endtext"'
    with pytest.raises(AbcError, match=f"line 6: {message}"):
        parse(tune)
    with pytest.raises(RenderError, match=message):
        sanitize(tune)


def test_many_blocks_end_soon() -> None:
    text = "X:1\nK:C\nC|\n" + "%%beginx\n" * 5_000
    assert len(find_tunes(text)) == 1
    assert len(find_tunes("X:1\nH:a\n" + "b\n" * 5_000)) == 0
