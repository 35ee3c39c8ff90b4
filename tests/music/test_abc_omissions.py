from __future__ import annotations

import pytest

from musicllm.music.abc import canonical, omissions, parse

TUNE = "X:1\nL:1/4\nM:4/4\nK:C\nCDEF |]"


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("T:Title\nK:C\n", "titles"),
        ("N:note\nK:C\n", "other texts"),
        ("Q:1/4=90\nK:C\n", "tempo"),
        ("K:C\n[Q:1/4=90]", "tempo"),
        ("P:AABB\nK:C\n", "part order"),
        ("K:C\nP:A\n", "part order"),
        ("K:C\nw:la la\n", "lyrics"),
        ("K:C\nW:la la\n", "lyrics"),
        ("K:C\n%%MIDI program 3\n", "directives"),
        ("I:linebreak $\nK:C\n", "directives"),
        ('K:C\n"^slow"', "annotations"),
        ("K:C\n!trill!", "decorations"),
        ("K:C\n.", "decorations"),
        ("K:C\n(", "slurs"),
        ("K:C\n{d}", "grace notes"),
        ("K:C bass\n", "clefs"),
        ("K:C\n[K:treble-8]c[K:alto]", "clefs"),
        ('V:1 nm="Violin"\nK:C\n', "names of voices"),
        ("K:C\n*", "reserved characters"),
    ],
)
def test_what_the_normal_form_leaves_out(line: str, name: str) -> None:
    tune = TUNE.replace("K:C\n", line)
    assert omissions(parse(tune)) == (name,)
    assert omissions(parse(canonical(tune))) == ()


@pytest.mark.parametrize("body", ["(3CDE F2", '"Am"C4', "C>D E/2F//", "[CE]-[CE] | Z |", "[K:G]C"])
def test_what_it_keeps(body: str) -> None:
    assert omissions(parse(TUNE.replace("CDEF", body))) == ()
