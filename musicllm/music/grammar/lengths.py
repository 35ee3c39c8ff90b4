"""Lengths of notes, in grains: which text spells which, and what a text so far can still become.

A grain is 1/512 of a whole note. Sets of lengths are masks: bit n stands for n grains. So whether
`3/` can become a length that fits is one `&` of two numbers.
"""

from __future__ import annotations

from functools import lru_cache

WHOLE = 512
"""Grains in a whole note."""
NOTES = "ABCDEFGabcdefg"
MAX_OCTAVES = 3
MIN_GRID, MAX_GRID = 8, 16
"""Grains of a 64th and a 32nd note, the shortest that are usual."""
LONGEST = 16 * WHOLE
"""Longest note, as `limits.max_note_wholes`."""

_DIVISORS = (2, 4, 8, 16, 32, 64, 128, 256, 512)
_MAX_SLASHES = 4
_MAX_MULTIPLE = 999


class Spelling:
    """What the texts after a note mean for one unit length.

    Attributes:
        unit: grains of a note without a text.
        value: text -> grains.
        reach: text -> mask of the lengths that it and longer texts spell; texts that start no
            length are missing.
        shortest: grains -> shortest text.
    """

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.value: dict[str, int] = {}
        self.reach: dict[str, int] = {}
        self.shortest: dict[int, str] = {}
        for multiple in ("", *map(str, range(1, _MAX_MULTIPLE + 1))):
            self._add(multiple, int(multiple or 1), 1)
            for slashes in range(1, _MAX_SLASHES + 1):
                self._add(multiple + "/" * slashes, int(multiple or 1), 2**slashes)
            for divisor in _DIVISORS:
                self._add(f"{multiple}/{divisor}", int(multiple or 1), divisor)
        self._starting: dict[str, list[tuple[str, int]]] = {}

    def _add(self, text: str, multiple: int, divisor: int) -> None:
        grains, rest = divmod(self.unit * multiple, divisor)
        if rest or grains > LONGEST or (multiple % 2 == 0 and divisor > 1):
            return
        self.value[text] = grains
        for stop in range(len(text) + 1):
            self.reach[text[:stop]] = self.reach.get(text[:stop], 0) | (1 << grains)
        if len(text) < len(self.shortest.get(grains, text + " ")):
            self.shortest[grains] = text

    def longer(self, text: str, accepted: int) -> str | None:
        """Return the shortest text to append to reach an accepted length; None if there is none."""
        if text not in self._starting:
            texts = [(other, 1 << v) for other, v in self.value.items() if other.startswith(text)]
            self._starting[text] = sorted(texts, key=lambda pair: (len(pair[0]), pair[0]))
        for other, bit in self._starting[text]:
            if bit & accepted:
                return other[len(text) :]
        return None

    def spell(self, grains: int) -> list[str]:
        """Return the texts of as few notes as needed that together are this long."""
        if grains in self.shortest:
            return [self.shortest[grains]]
        whole = min(grains // self.unit * self.unit, self.unit * _MAX_MULTIPLE, LONGEST)
        assert whole, f"{grains} grains have no spelling"
        return [self.shortest[whole], *self.spell(grains - whole)]


@lru_cache(maxsize=16)
def spelling(unit: int) -> Spelling:
    """Return the shared spelling for a unit length in grains."""
    return Spelling(unit)


@lru_cache(maxsize=65_536)
def lengths(limit: int, start: int, step: int, times: int, divisor: int) -> int:
    """Return the mask of the lengths v for which `x = v * times / divisor` grains fit.

    Args:
        limit: maximum of x.
        start: x must be this, plus a multiple of `step`.
        step: see above.
        times: of broken rhythm; 1 without it.
        divisor: of broken rhythm; v must be a multiple of it.
    """
    most = min(limit * divisor // times, LONGEST) if limit > 0 else 0
    if step == times == divisor == 1:
        return (2 << most) - 2
    mask = 0
    for v in range(divisor, most + 1, divisor):
        if (v * times // divisor - start) % step == 0:
            mask |= 1 << v
    return mask


@lru_cache(maxsize=4096)
def on_grid(grid: int, unit: int, start: int, times: int, divisor: int) -> int:
    """Return the mask of the usual lengths that bring a bar onto a grid.

    Args:
        grid: in grains.
        unit: grains of the unit length.
        start: grains of the bar so far, modulo the grid.
        times: of broken rhythm; 1 without it.
        divisor: of broken rhythm; the note adds `v * times / divisor` grains.
    """
    mask = 0
    for v in range(grid, LONGEST + 1, grid):
        grains, rest = divmod(v * times, divisor)
        if not rest and (start + grains) % grid == 0 and _is_usual(v, unit):
            mask |= 1 << v
    return mask


@lru_cache(maxsize=65_536)
def in_tuplet(grid: int, unit: int, tuplet: tuple[int, int, int, int]) -> int:
    """Return the mask of the usual lengths that a tuplet may have next.

    Args:
        grid: in grains; the whole tuplet has to be a multiple of it.
        unit: grains of the unit length.
        tuplet: p, q, number of notes left, and grains so far as written; see `Cursor`.
    """
    p, q, num, sum_ = tuplet
    mask = 0
    for v in range(MIN_GRID, LONGEST + 1, MIN_GRID):
        if _is_usual(v, unit) and (num > 1 or (sum_ + v) * q % (p * grid) == 0):
            mask |= 1 << v
    return mask


def _is_usual(grains: int, unit: int) -> bool:
    """Return whether a length is a note value with at most two dots, or some unit lengths."""
    return grains % unit == 0 or grains // (grains & -grains) in (1, 3, 7)
