"""The form of a tune: its sections as letters, and the terms for such a form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import NamedTuple

from musicllm.music.abc import Score
from musicllm.music.analysis.parts import play_order
from musicllm.music.analysis.sections import (
    Section,
    alike,
    played,
    section_starts,
    sections,
    sounds,
)


class LabelledSection(NamedTuple):
    """A section as written.

    Attributes:
        label: its letter in `form`.
        first: index of its first bar in the first voice.
        last: index of its last bar.
    """

    label: str
    first: int
    last: int


def form(score: Score, *, marks: bool = True) -> str:
    """Return the sections of the first voice as played, as letters, such as `AABB`.

    Sections end at repeats and double bars; a repeated section counts twice. A tune without either
    is cut every eight bars. Variants of one section (`sections.alike`) share a letter (A to Z in
    order of appearance, then `?`). Bars shorter than the metre are not compared; a tune of only
    such bars is `A`.

    `P:` overrides this if it names two sections or more in the body: equal names are equal letters,
    however they sound. A `P:` in the header gives the order, in terms of the body's names, or
    if it plays as many sections, or as many different ones, as are written.

    Args:
        score: the tune.
        marks: whether `P:` counts; otherwise only the sound does.
    """
    _, plays = _named(score, sections(score.voice(), marks=marks), marks=marks)
    letters = _letters(plays)
    return "".join(letters[name] for name in plays) or "A"


def terms(score: Score, *, marks: bool = True) -> tuple[str, ...]:
    """Return the terms for the form of a tune; empty if none fits.

    Those of `terms_of`, and `Variational` instead of `Strophic` if the only section comes back
    in three or more written-out versions, all different. Arguments as in `form`.
    """
    named = terms_of(form(score, marks=marks))
    if named == ("Strophic",):
        bars = score.voice()
        numbers = sounds(bars)
        parts = sections(bars, marks=marks)
        versions = [tuple(numbers[i] for i in part.bars) for part in parts]
        if len(versions) >= 3 and len(set(versions)) == len(versions):
            return ("Variational",)
    return named


def terms_of(letters: str) -> tuple[str, ...]:
    """Return the terms for sections given as letters; empty if none fits.

    Terms as ChatMusician (arXiv 2402.16153) uses them, by textbook definitions. A section
    and its immediate repeats count once here, so AABB is AB:

    | term | letters | example |
    | --- | --- | --- |
    | Only One Section | one section, played once or twice | AA |
    | Strophic | one section, three times or more | AAA |
    | Binary | two sections, one after the other or by turns | AABB |
    | Sectional: Verse/Chorus | the same, by turns: verse and chorus | ABAB |
    | Sectional: Verse/Chorus/Bridge | verse and chorus by turns, a third section once | ABABCB |
    | Ternary | a section, another, and the first again | ABA |
    | Rondo | the first section before, between and after two or more different others | ABACA |
    | Arch | mirror form of five sections or more, the middle one heard once | ABCBA |
    | Medley | three sections or more, none comes back, some repeated at once | AABBCC |
    | Through Composed | three sections or more, none is heard twice | ABC |

    Binary has Verse/Chorus as a second term where both fit.
    """
    if not letters or "?" in letters:
        return ()
    order = "".join(letter for letter, _ in groupby(letters))
    kinds = len(set(order))
    if kinds == 1:
        return ("Strophic",) if len(letters) > 2 else ("Only One Section",)
    if kinds == 2 and (order == "AB" or order == "AB" * (len(order) // 2)):
        return ("Binary",) if order == "AB" else ("Binary", "Sectional: Verse/Chorus")
    if order == "ABA":
        return ("Ternary",)
    if len(order) == kinds:
        return ("Through Composed",) if order == letters else ("Medley",)
    return _returning(order)


def _returning(order: str) -> tuple[str, ...]:
    """Return the term for three or more sections, some of which come back."""
    episodes = order[1::2]
    if len(order) % 2 and set(order[::2]) == {"A"} and len(set(episodes)) >= 2:
        return ("Rondo",)
    middle = len(order) // 2
    if len(order) >= 5 and order == order[::-1] and len(set(order)) == middle + 1:
        return ("Arch",)
    alternating = order.replace("C", "", 1)
    bridge = order.find("C")
    if set(alternating) == {"A", "B"} and bridge >= 2 and order.count("C") == 1:
        verses = "".join(letter for letter, _ in groupby(alternating))
        if verses.startswith("ABAB"):
            return ("Sectional: Verse/Chorus/Bridge",)
    return ()


def labelled_sections(score: Score, *, marks: bool = True) -> list[LabelledSection]:
    """Return the sections of the first voice as written, with the letters that `form` gives them.

    They cover the voice: a short bar belongs to the section that begins with it, or else to the one
    before. A section that an order in the header leaves out has the letter `?`. Arguments as in
    `form`.
    """
    bars = score.voice()
    parts = sections(bars, marks=marks)
    names, plays = _named(score, parts, marks=marks)
    letters = _letters(plays or ["A"])
    begins = set(section_starts(bars, marks=marks))
    firsts = [0]
    for before, part in pairwise(parts):
        gap = range(before.bars[-1] + 1, part.bars[0])
        firsts.append(next((i for i in gap if i in begins), part.bars[0]))
    lasts = [*(first - 1 for first in firsts[1:]), len(bars) - 1]
    return [
        LabelledSection(letters.get(name, "?"), first, last)
        for name, first, last in zip(names or ["A"], firsts, lasts, strict=True)
    ]


def _letters(plays: Sequence[str]) -> dict[str, str]:
    """Return the letter of each name, in the order in which they are first played."""
    names = enumerate(dict.fromkeys(plays))
    return {name: chr(ord("A") + place) if place < 26 else "?" for place, name in names}


def _named(score: Score, parts: Sequence[Section], *, marks: bool) -> tuple[list[str], list[str]]:
    """Return a name for each section as written, and for each as played; equal: equal names."""
    names = _names_by_sound(parts, sounds(score.voice()))
    order = played(parts)
    header = play_order(score.header.get("P", "")) if marks else None
    if sum(bool(part.part) for part in parts) > 1:
        plays = _plays_by_marks(parts, names, order)
        marked = {name for name, _ in plays}
        starts = _marked_starts(parts)
        written = [parts[i].part or names[i] for i in starts]
        if header is not None and set(header) <= marked:
            times = dict(reversed(plays))
            return written, [
                name for name, run in groupby(header) for name in _run(name, run, times[name])
            ]
        return written, [name for name, num in plays for _ in range(num)]
    if header is not None and len(header) == len(order):
        return [header[order.index(i)] for i in range(len(parts))], list(header)
    if header is not None and len(set(header)) == len(parts):
        written = list(dict.fromkeys(header))
        times = {name: part.times for name, part in zip(written, parts, strict=True)}
        return written, [
            name for name, run in groupby(header) for name in _run(name, run, times[name])
        ]
    return names, [names[i] for i in order]


def _marked_starts(parts: Sequence[Section]) -> list[int]:
    """Return for each section the section with whose `P:` it began."""
    starts: list[int] = []
    for i, part in enumerate(parts):
        starts.append(i if i == 0 or part.part is not None else starts[-1])
    return starts


def _run(name: str, run: Iterable[str], times: int) -> list[str]:
    """Return the plays of a section that an order names once or several times in a row.

    An order that names a repeated section twice includes its repeat: people write AABB for two
    strains with repeat signs.
    """
    num = len(list(run))
    return [name] * (num * times if num == 1 else num)


def _names_by_sound(parts: Sequence[Section], numbers: Sequence[int]) -> list[str]:
    """Return a name for each section as written, comparing all passes of the sections."""
    distinct: list[list[list[int]]] = []
    names = []
    for part in parts:
        passes = [[numbers[i] for i in bars] for bars in part.passes]
        same = (
            i
            for i, others in enumerate(distinct)
            if any(alike(own, other) for own in passes for other in others)
        )
        index = next(same, len(distinct))
        if index == len(distinct):
            distinct.append(passes)
        names.append(f"sound {index}")
    return names


def _plays_by_marks(
    parts: Sequence[Section], by_sound: Sequence[str], order: Sequence[int]
) -> list[tuple[str, int]]:
    """Return the marked sections as played: name, and number of plays in a row.

    A marked section with several double bars or repeats counts once, unless it is played again as a
    whole, or consists of one strain.
    """
    starts = _marked_starts(parts)
    plays = []
    for start, run in groupby(order, key=lambda i: starts[i]):
        inside = list(run)
        length = len(set(inside))
        again, rest = divmod(len(inside), length)
        if len({by_sound[i] for i in inside}) == 1:
            num = len(inside)
        else:
            num = again if rest == 0 and inside == inside[:length] * again else 1
        plays.append((parts[start].part or by_sound[start], num))
    return plays
