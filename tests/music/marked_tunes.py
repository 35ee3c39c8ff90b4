"""Tunes whose form is known, since they are put together section by section.

Each kind is a way in which such tunes are written: strains that end alike, endings, pick-ups,
repeats written out, a repeat over several sections, variations. Some are hard on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

Bars = list[str]
Written = tuple[list[tuple[str, str]], str]
"""Name and music of each section, and the form as played."""
Make = Callable[[random.Random], Written]


class Marked(NamedTuple):
    """A tune without marks, the same with `P:` before each section, and its form."""

    plain: str
    marked: str
    form: str


def _bar(draw: random.Random) -> str:
    return " ".join(draw.choice("DEFGABcdefg") + "2" for _ in range(4))


def _bars(draw: random.Random, num: int = 8) -> Bars:
    return [_bar(draw) for _ in range(num)]


def _ends_as(draw: random.Random, strain: Bars, num: int) -> Bars:
    """Return a strain of which the last bars are those of another."""
    return [*_bars(draw, len(strain) - num), *strain[-num:]]


def _varied(draw: random.Random, strain: Bars, num: int) -> Bars:
    """Return a strain in which some bars are changed, the first not among them."""
    places = draw.sample(range(1, len(strain)), num)
    return [_bar(draw) if i in places else bar for i, bar in enumerate(strain)]


def _decorated(strain: Bars) -> Bars:
    """Return a strain with each note split in two: the melody in other rhythm, no bar the same."""
    return [bar.replace("2", "").replace(" ", "/2 ").replace("/2", "2") if i % 2 else
            " ".join(f"{note[0]}{note[0]}" for note in bar.split())
            for i, bar in enumerate(strain)]  # fmt: skip


def _line(bars: Bars) -> str:
    return " | ".join(bars)


def _repeats(names: str, strains: list[Bars], pickup: str = "") -> list[tuple[str, str]]:
    lead = f"{pickup} | " if pickup else ""
    return [(name, f"|: {lead}{_line(s)} :|") for name, s in zip(names, strains, strict=True)]


def _written(names: str, strains: Mapping[str, Bars], end: str = "||") -> list[tuple[str, str]]:
    return [(name, f"{_line(strains[name])} {end}") for name in names]


def _with_endings(name: str, body: Bars, one: Bars, two: Bars) -> tuple[str, str]:
    return name, f"|: {_line(body)} |1 {_line(one)} :|2 {_line(two)} ||"


def _two_strains(num_shared: int, pickup: str = "") -> Make:
    def make(draw: random.Random) -> Written:
        first = _bars(draw)
        return _repeats("AB", [first, _ends_as(draw, first, num_shared)], pickup), "AABB"

    return make


def _three_strains(draw: random.Random) -> Written:
    first = _bars(draw)
    strains = [first, _ends_as(draw, first, 4), _ends_as(draw, first, 2)]
    return _repeats("ABC", strains), "AABBCC"


def _endings(num: int) -> Make:
    def make(draw: random.Random) -> Written:
        first, one, two = _bars(draw, 8 - num), _bars(draw, num), _bars(draw, num)
        second = [*_bars(draw, 4), *first[4:]]
        return [_with_endings("A", first, one, two), _with_endings("B", second, one, two)], "AABB"

    return make


def _endings_then_plain(draw: random.Random) -> Written:
    """A with long endings, B, then A once more with the second ending."""
    first, one, two = _bars(draw, 4), _bars(draw, 4), _bars(draw, 4)
    last = ("A", f"{_line([*first, *two])} |]")
    return [_with_endings("A", first, one, two), *_written("B", {"B": _bars(draw)}), last], "AABA"


def _ternary(draw: random.Random) -> Written:
    first = _bars(draw)
    return _written("ABA", {"A": first, "B": _ends_as(draw, first, 4)}), "ABA"


def _rondo(draw: random.Random) -> Written:
    first = _bars(draw)
    strains = {"A": first, "B": _ends_as(draw, first, 2), "C": _ends_as(draw, first, 4)}
    sections = _written("ABACA", strains)
    sections[-1] = ("A", f"{_line([*first[:-1], _bar(draw)])} |]")
    return sections, "ABACA"


def _song(draw: random.Random) -> Written:
    """32 bars on end, the middle eight ending as the rest, the last A ending otherwise."""
    first = _bars(draw)
    last = [*first[:-2], *_bars(draw, 2)]
    strains = [first, [*first[:-1], _bar(draw)], _ends_as(draw, first, 2), last]
    return [(name, f"{_line(s)} |") for name, s in zip("AABA", strains, strict=True)], "AABA"


def _written_out(draw: random.Random) -> Written:
    first = _bars(draw)
    second = _ends_as(draw, first, 4)
    strains = [first, [*first[:-2], *_bars(draw, 2)], second, [*second[:-2], *_bars(draw, 2)]]
    return [(name, f"{_line(s)} ||") for name, s in zip("AABB", strains, strict=True)], "AABB"


def _variations(draw: random.Random) -> Written:
    theme = _bars(draw)
    strains = [theme, *(_varied(draw, theme, draw.randint(2, 4)) for _ in range(3))]
    return [("A", f"{_line(strain)} ||") for strain in strains], "AAAA"


def _decorations(draw: random.Random) -> Written:
    theme = _bars(draw)
    return [("A", f"{_line(theme)} ||"), ("A", f"{_line(_decorated(theme))} |]")], "AA"


def _through_composed(draw: random.Random) -> Written:
    first = _bars(draw)
    strains = {"A": first, "B": _ends_as(draw, first, 4), "C": _bars(draw), "D": _bars(draw)}
    return _written("ABCD", strains), "ABCD"


def _verse_and_chorus(draw: random.Random) -> Written:
    """Both are repeated together."""
    first = _bars(draw)
    second = _ends_as(draw, first, 4)
    return [("A", f"|: {_line(first)} ||"), ("B", f"{_line(second)} :|")], "ABAB"


def _starts_alike(draw: random.Random) -> Written:
    """Two strains that share the first bar as well as half of the others."""
    first = _bars(draw)
    return _repeats("AB", [first, [first[0], *_bars(draw, 3), *first[4:]]]), "AABB"


def _ending_runs_on(draw: random.Random) -> Written:
    """The second strain follows the second ending without a double bar."""
    first, one, two = _bars(draw, 7), _bars(draw, 1), _bars(draw, 1)
    text = f"|: {_line(first)} |1 {_line(one)} :|2 {_line(two)} |"
    return [("A", text), ("B", f"{_line(_bars(draw))} |]")], "AAB"


KINDS: Mapping[str, Make] = {
    "AABB, last 2 bars alike": _two_strains(2),
    "AABB, last 4 bars alike": _two_strains(4),
    "AABB, last 6 bars alike": _two_strains(6),
    "AABB with pick-ups": _two_strains(4, "e2"),
    "AABB, endings of 1 bar": _endings(1),
    "AABB, endings of 4 bars": _endings(4),
    "AABA, endings, A again": _endings_then_plain,
    "AABB written out": _written_out,
    "AABBCC": _three_strains,
    "ABA": _ternary,
    "ABACA": _rondo,
    "AABA of 32 bars": _song,
    "ABAB, one repeat": _verse_and_chorus,
    "AAB, an ending runs on": _ending_runs_on,
    "ABCD": _through_composed,
    "theme and variations": _variations,
    "theme, every bar decorated": _decorations,
    "AABB, strains start alike": _starts_alike,
}
RIGHT_BY_SOUND = {"theme and variations": 6, "theme, every bar decorated": 0}
"""Of ten tunes of a kind, those whose form is told from their sound, where not all are.

Equal bars do not tell a variation that changes most of its opening from another strain, nor one
that changes every bar."""


def marked_tunes(kind: str, num: int = 10) -> Iterator[Marked]:
    """Yield tunes of a kind; a pure function of the arguments."""
    head = "X:1\nL:1/8\nM:4/4\nK:D\n"
    for seed in range(num):
        sections, form = KINDS[kind](random.Random(f"{kind}:{seed}"))
        plain = "\n".join(text for _, text in sections)
        marked = "\n".join(f"P:{name}\n{text}" for name, text in sections)
        yield Marked(f"{head}{plain}\n", f"{head}{marked}\n", form)
