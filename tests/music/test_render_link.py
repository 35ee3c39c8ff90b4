from __future__ import annotations

import pytest

from musicllm.errors import RenderError
from musicllm.music.render import editor_link
from musicllm.music.render.link import EDITOR, MAX_CHARS, tune_of_link
from musicllm.music.render.sanitize import sanitize

HEAD = 'X:1\nT:Jock o\' the Side & 100% "más" #1 + 2\nM:4/4\nK:C\n'


def test_the_tune_is_in_the_link_and_comes_back_unchanged() -> None:
    tune = HEAD + '|:"Am7/E"[^C_E]2 {g}(3abc ~A>B c\'d,|A4-A4:|\n'
    link = editor_link(tune)
    assert tune_of_link(link) == sanitize(tune)
    assert not set(link.removeprefix(EDITOR)) & set(' "&#+%<>\\^`{|}'.replace("%", ""))


def test_it_is_encoded_as_browsers_do() -> None:
    """Compared with encodeURIComponent by hand: it keeps `A-Z a-z 0-9 - _ . ! ~ * ' ( )`."""
    assert editor_link("X:1\nK:C\nA'~!*(.-_|").removeprefix(EDITOR) == (
        "X%3A1%0AK%3AC%0AA'~!*(.-_%7C%0A"
    )


def test_a_tune_that_no_web_server_would_take_is_refused() -> None:
    bars = "CDEF GABc|\n"
    fits = (MAX_CHARS - len(editor_link(HEAD + bars))) // len("CDEF%20GABc%7C%0A")
    assert len(editor_link(HEAD + bars * fits)) <= MAX_CHARS
    with pytest.raises(RenderError, match=r"have 8,0\d\d characters, and web servers take 8,000"):
        editor_link(HEAD + bars * (fits + 2))


def test_no_tune_no_link() -> None:
    with pytest.raises(RenderError, match="the ABC is empty"):
        editor_link("")
