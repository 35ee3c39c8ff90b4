from __future__ import annotations

import re

import pytest

from musicllm.errors import RenderError
from musicllm.music.render.kinds import svg as svg_module
from musicllm.music.render.kinds.svg import abc_to_svg, safe_svg

HEAD = "X:1\nT:Tune\nM:4/4\nL:1/8\nQ:1/4=120\nK:C\n"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {}</svg>'
NOTE = '<g class="note"/>'


def count(svg: str, name: str) -> int:
    return len(re.findall(f'class="{name}"', svg))


def test_every_note_and_bar_is_there_on_one_page(reel: str) -> None:
    svg = abc_to_svg(reel)
    assert (count(svg, "note"), count(svg, "measure"), count(svg, "staff")) == (15, 2, 2)
    assert re.match(r'<svg [^>]*viewBox="0 0 1000 \d+"', svg)
    assert "Render test" not in svg
    assert svg == abc_to_svg(reel)


def test_a_long_tune_stays_on_one_page() -> None:
    svg = abc_to_svg(HEAD + "CDEF GABc|cBAG FEDC|\n" * 32)
    assert (count(svg, "note"), count(svg, "measure")) == (512, 64)


def test_a_last_bar_without_bar_line_is_shown() -> None:
    assert count(abc_to_svg(HEAD + "CDEF GABc|cBAG FEDC"), "note") == 16


def test_voices_stand_below_each_other() -> None:
    svg = abc_to_svg(HEAD + "V:1\nCDEF GABc|c8|\nV:2 bass\nC,8|C,8|\n")
    assert (count(svg, "note"), count(svg, "measure"), count(svg, "staff")) == (11, 2, 4)


def test_a_tune_that_crashes_one_reader_goes_to_the_other(
    reel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = "X:1\nHello\n"
    with pytest.raises(RenderError, match=r"verovio crashed \(SIG"):
        svg_module._engrave(crashing, "verovio")
    monkeypatch.setattr(svg_module, "for_verovio", lambda _: crashing)
    assert count(abc_to_svg(reel), "measure") == 2


@pytest.mark.parametrize("voices", ["", "V:1\n"])
def test_neither_title_nor_tempo_nor_font_is_in_the_score(voices: str) -> None:
    second = "V:2\nC8|\n" if voices else ""
    svg = abc_to_svg(f"{HEAD}{voices}CDEF [Q:1/4=60]GABc|\n{second}")
    for absent in ("Tune", "tempo", "= ", "@font-face"):
        assert absent not in re.sub(r"g\.tempo", "", svg)


def test_texts_of_a_tune_stay_texts() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    svg = abc_to_svg(f'{HEAD.replace("Tune", evil)}"{evil}"C4"^{evil}"D4|\nw:{evil}\n')
    assert "<script" not in svg
    assert "<img" not in svg


@pytest.mark.parametrize(
    ("part", "gone"),
    [
        ("><script>alert(1)</script>" + NOTE, "script"),
        ('onload="alert(1)">' + NOTE, "onload"),
        ("><g onclick='x()'/>" + NOTE, "onclick"),
        ("><foreignObject><p>hi</p></foreignObject>" + NOTE, "foreignObject"),
        ("><a href='javascript:x()'><text>t</text></a>" + NOTE, "javascript"),
        ("><image xlink:href='http://a.example/x.png'/>" + NOTE, "example"),
        ("><use href='http://a.example/x.svg#y'/>" + NOTE, "example"),
        ("><use xlink:href='http://a.example/x.svg#y'/>" + NOTE, "example"),
        ("><rect fill='URL(http://a.example/x)'/>" + NOTE, "example"),
        ("><style>@import 'http://a.example/x.css'</style>" + NOTE, "example"),
        ("><style>g {background: u\\72l(//a.example)}</style>" + NOTE, "example"),
        ("><animate attributeName='href' values='javascript:x()'/>" + NOTE, "javascript"),
        ("><!-- --><script>x</script>" + NOTE, "<!--"),
        ("><rect style='background:url(//a.example)'/>" + NOTE, "example"),
    ],
)
def test_nothing_that_runs_or_fetches_survives(part: str, gone: str) -> None:
    source = SVG.format(part)
    assert gone in source
    assert gone not in safe_svg(source.encode())


def test_shapes_and_inner_references_survive() -> None:
    source = SVG.format('><use href="#E050" x="1"/><path d="M0 0"/><g class="note"/>')
    for kept in ('<use href="#E050" x="1"', '<path d="M0 0"', '<g class="note"'):
        assert kept in safe_svg(source.encode())


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('<!DOCTYPE a [<!ENTITY b "c">]><svg/>', "declares XML entities"),
        ("", "no well-formed SVG"),
        ("<svg><g>", "no well-formed SVG"),
        ("<html/>", "verovio wrote no SVG"),
        (SVG.format("><g/>"), "the tune has no notes to show"),
    ],
)
def test_refuses_what_is_no_score(source: str, message: str) -> None:
    with pytest.raises(RenderError, match=message):
        safe_svg(source.encode())
