"""The form of a tune: its sections as letters, and what musicians call such a form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from musicllm.music.abc import Score
from musicllm.music.analysis.sections import sections, sounds

_SAME_SHARE = 0.5


def form(score: Score) -> str:
    """Return the sections of the first voice as letters, such as `AABB`.

    Sections end at repeats and double bars; a repeated one counts twice. A tune that has none is
    cut every eight bars. Sections of which at least half the bars sound the same in the same
    place share a letter (A to Z, then `?`). Bars shorter than
    the metre are not compared; a tune of such bars alone is `A`.
    """
    letters = ""
    known: list[list[int]] = []
    for content, times in _contents(score):
        alike = (i for i, other in enumerate(known) if _share_same(content, other) >= _SAME_SHARE)
        index = next(alike, len(known))
        if index == len(known):
            known.append(content)
        letters += (chr(ord("A") + index) if index < 26 else "?") * times
    return letters or "A"


def terms(score: Score) -> tuple[str, ...]:
    """Return what musicians call the form of a tune; empty where no term fits.

    Those of `terms_of`, and `Variational` in place of `Strophic` where the only section comes back
    in three or more written-out versions, no two the same.
    """
    named = terms_of(form(score))
    if named == ("Strophic",):
        versions = [tuple(content) for content, _ in _contents(score)]
        if len(versions) >= 3 and len(set(versions)) == len(versions):
            return ("Variational",)
    return named


def terms_of(letters: str) -> tuple[str, ...]:
    """Return the terms for sections given as letters; empty where none fits.

    Terms of the kind that ChatMusician (arXiv 2402.16153) uses, by textbook definitions. A section
    and its immediate repeats count as one here, so that AABB is read as AB:

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

    Binary takes Verse/Chorus as a second term where both fit.
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
    """Return the term for three or more sections some of which come back."""
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


def _contents(score: Score) -> list[tuple[list[int], int]]:
    """Return what the bars of each section sound like, and how often it is played."""
    bars = score.voice()
    numbers = sounds(bars)
    return [([numbers[i] for i in part.bars], part.times) for part in sections(bars)]


def _share_same(first: Sequence[int], second: Sequence[int]) -> float:
    """Return the share of bars that are equal in the same place."""
    same = sum(a == b for a, b in zip(first, second, strict=False))
    return same / max(len(first), len(second))
