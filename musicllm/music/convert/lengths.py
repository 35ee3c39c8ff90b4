"""Durations as note values: type, dots, and the tuplet that a duration needs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from musicllm.music.abc import AbcError

TYPES = {
    Fraction(4): "long", Fraction(2): "breve", Fraction(1): "whole", Fraction(1, 2): "half",
    Fraction(1, 4): "quarter", Fraction(1, 8): "eighth", Fraction(1, 16): "16th",
    Fraction(1, 32): "32nd", Fraction(1, 64): "64th", Fraction(1, 128): "128th",
    Fraction(1, 256): "256th", Fraction(1, 512): "512th", Fraction(1, 1024): "1024th",
}  # fmt: skip
"""Note value as a fraction of a whole note -> its name in MusicXML."""
_DOTTED = {2: Fraction(7, 4), 1: Fraction(3, 2), 0: Fraction(1)}
_BEAMS = {"eighth": 1, "16th": 2, "32nd": 3, "64th": 4, "128th": 5, "256th": 6}


class Value(NamedTuple):
    """A note value.

    Attributes:
        type: such as `eighth`.
        num_dots: 0 to 2.
        length: as a fraction of a whole note, before the tuplet.
    """

    type: str
    num_dots: int
    length: Fraction

    @property
    def num_beams(self) -> int:
        """Beams or flags of its stem."""
        return _BEAMS.get(self.type, 0)


_VALUES = tuple(
    Value(name, num_dots, size * factor)
    for size, name in TYPES.items()
    for num_dots, factor in _DOTTED.items()
)
"""From the longest to the shortest."""


@lru_cache(maxsize=4096)
def values(length: Fraction, tuplet: tuple[int, int]) -> tuple[tuple[Value, ...], tuple[int, int]]:
    """Return the note values, to be tied, that make up a duration, and the tuplet they need.

    Args:
        length: what sounds, as a fraction of a whole note.
        tuplet: p and q of the tuplet in which it is written; (1, 1) for none.

    Raises:
        AbcError: it is too short or too long for MusicXML.
    """
    p, q = tuplet
    plain = length * p / q
    odd = plain.denominator
    while odd % 2 == 0:
        odd //= 2
    if odd > 1:  # as `C/3` outside of a tuplet
        q *= 1 << (odd.bit_length() - 1)
        p *= odd
        plain = length * p / q
    result: list[Value] = []
    while plain:
        value = next((value for value in _VALUES if value.length <= plain), None)
        if value is None:
            raise AbcError(f"a note of {length} of a whole note has no value in MusicXML")
        result.append(value)
        plain -= value.length
    return tuple(result), (p, q)


def beams(joined: Sequence[bool], num_beams: Sequence[int]) -> list[list[str]]:
    """Return the beams of the notes of a bar, from the first level: `begin`, `continue`, `end`.

    Args:
        joined: whether a note shares its beam with the note before.
        num_beams: of each note; 0 ends a group.
    """
    result: list[list[str]] = [[] for _ in num_beams]
    starts = [
        i for i, n in enumerate(num_beams) if not (i and joined[i] and n and num_beams[i - 1])
    ]
    for start, stop in pairwise([*starts, len(num_beams)]):
        if stop - start < 2:
            continue
        for place in range(start, stop):
            for level in range(1, num_beams[place] + 1):
                before = place > start and num_beams[place - 1] >= level
                after = place + 1 < stop and num_beams[place + 1] >= level
                hook = "backward hook" if place > start else "forward hook"
                both = {(True, True): "continue", (True, False): "end", (False, True): "begin"}
                result[place].append(both.get((before, after), hook))
    return result
