"""Deals questions so that families, levels and letters come equally often.

Knows nothing of music: cells go in, a list comes out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from typing import TypeVar

T = TypeVar("T")

Cell = tuple[str, str, str]
"""Family, level and letter."""


def deal(
    cells: Mapping[Cell, list[T]],
    families: Sequence[str],
    levels: Sequence[str],
    letters: str,
    wanted: int,
) -> list[T]:
    """Take so many items, a family's turn after the other.

    At its turns a family goes through the pairs of level and letter, every level and every letter
    in equal measure on the way. Where a pair has nothing left, the family's fullest cell serves; a
    family that has nothing left is passed over.

    Args:
        cells: items by family, level and letter; not changed.
        families: in the order of their turns.
        levels: likewise.
        letters: likewise; a family starts with the letter after that of the family before.
        wanted: at most as many as there are items.
    """
    left = {cell: items[::-1] for cell, items in cells.items()}
    own = {family: [cell for cell in left if cell[0] == family] for family in families}
    dealt: list[T] = []
    turn = 0
    while len(dealt) < wanted:
        for number, family in enumerate(families):
            pair = _pair(turn, number, levels, letters)
            fullest = max(own[family], key=lambda cell: len(left[cell]), default=None)
            if fullest is None or not left[fullest] or len(dealt) == wanted:
                continue
            cell = (family, *pair)
            dealt.append(left[cell if left.get(cell) else fullest].pop())
        turn += 1
    return dealt


def _pair(turn: int, number: int, levels: Sequence[str], letters: str) -> tuple[str, str]:
    """Return level and letter of a family's turn; all pairs come before one comes again."""
    period = lcm(len(levels), len(letters))
    level = levels[(turn + turn // period + number) % len(levels)]
    return level, letters[(turn + number) % len(letters)]
