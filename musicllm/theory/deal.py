"""Samples questions so that families, levels and letters are equally frequent.

Independent of music.
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
    count: int,
) -> list[T]:
    """Take `count` items, one per family in turn.

    In its turns a family cycles through the pairs of level and letter, with every level and every
    letter equally often. If the cell of a pair is empty, the fullest cell of the family is used; a
    family without items is skipped.

    Args:
        cells: items by family, level and letter; not modified.
        families: in the order of their turns.
        levels: likewise.
        letters: likewise; each family starts one letter later than the previous one.
        count: at most the number of items.
    """
    remaining = {cell: items[::-1] for cell, items in cells.items()}
    own = {family: [cell for cell in remaining if cell[0] == family] for family in families}
    dealt: list[T] = []
    turn = 0
    while len(dealt) < count:
        for number, family in enumerate(families):
            pair = _pair(turn, number, levels, letters)
            fullest = max(own[family], key=lambda cell: len(remaining[cell]), default=None)
            if fullest is None or not remaining[fullest] or len(dealt) == count:
                continue
            cell = (family, *pair)
            dealt.append(remaining[cell if remaining.get(cell) else fullest].pop())
        turn += 1
    return dealt


def _pair(turn: int, number: int, levels: Sequence[str], letters: str) -> tuple[str, str]:
    """Return level and letter of a family's turn; pairs do not repeat before all have occurred."""
    period = lcm(len(levels), len(letters))
    level = levels[(turn + turn // period + number) % len(levels)]
    return level, letters[(turn + number) % len(letters)]
