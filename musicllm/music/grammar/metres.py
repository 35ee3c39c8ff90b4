"""The values of `M:`, `L:` and `K:` that the grammar accepts, with what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from musicllm.music.abc.keys import MODES, NO_KEY, Key, parse_key
from musicllm.music.abc.limits import AbcError
from musicllm.music.abc.source import (
    alternating,
    default_unit_length,
    parse_metre,
    parse_unit_length,
)
from musicllm.music.grammar.lengths import LONGEST, WHOLE
from musicllm.music.grammar.trie import Node, build

_LONGEST_BAR = 4
"""Of an accepted metre, in whole notes."""
_COMMON = (
    "2/4",
    "3/4",
    "4/4",
    "2/2",
    "3/2",
    "3/8",
    "5/4",
    "6/4",
    "5/8",
    "6/8",
    "7/8",
    "9/8",
    "12/8",
)
_MODE_WORDS = (
    *(suffix for suffix, _ in MODES.values()),
    *(mode[:3] for mode in MODES),
    *MODES,
    "ion",
    "aeo",
    "ionian",
    "aeolian",
)
_TONICS = tuple(letter + sign for letter in "ABCDEFG" for sign in ("", "#", "b"))


@dataclass(frozen=True, slots=True)
class Metre:
    """A metre in force.

    Attributes:
        value: as written.
        text: canonical spelling, such as `4/4`.
        full: lengths of a full bar in grains; several in alternating metres; empty in free metre.
        first: the length that short bars are compared with; 0 in free metre.
        longest: most grains in a bar.
        compound: whether `(5`, `(7` and `(9` take the time of three notes.
        unit: grains of a note where no `L:` says otherwise.
    """

    value: str
    text: str
    full: frozenset[int]
    first: int
    longest: int
    compound: bool
    unit: int


@lru_cache(maxsize=4096)
def metre(value: str) -> Metre:
    """Return the metre of the value of an `M:` field; free without a value."""
    first, text, compound = parse_metre(value)
    unit = int(default_unit_length(first) * WHOLE)
    if first is None:
        return Metre(value, text, frozenset(), 0, LONGEST, compound, unit)
    several = alternating(value) or (first,)
    full = frozenset(int(length * WHOLE) for length in several)
    return Metre(value, text, full, int(first * WHOLE), max(full), compound, unit)


def unit_of(value: str) -> int:
    """Return the grains of the value of an `L:` field."""
    return int(parse_unit_length(value) * WHOLE)


def _metre_values() -> Iterator[str]:
    yield from ("C", "C|", "none")
    for unit in (1, 2, 4, 8, 16):
        yield from (f"{beats}/{unit}" for beats in range(1, min(64, _LONGEST_BAR * unit) + 1))
    for size in (2, 3, 4):
        for beats in product("234", repeat=size):
            total = "+".join(beats)
            for lower in ("4", "8", "16"):
                yield f"{total}/{lower}"
                yield f"({total})/{lower}"
    for several in product(_COMMON, repeat=2):
        if several[0] != several[1]:
            yield " ".join(several)


def _key_values() -> Iterator[str]:
    yield from ("none", "HP", "Hp")
    words = dict.fromkeys(
        (*_MODE_WORDS, *(word.capitalize() for word in _MODE_WORDS if len(word) > 2))
    )
    words.pop("M", None)
    for tonic in _TONICS:
        for word in words:
            for blank in ("", " ") if word else ("",):
                value = f"{tonic}{blank}{word}"
                try:
                    parse_key(value, NO_KEY)
                except AbcError:
                    continue
                yield value


@lru_cache(maxsize=1)
def metre_words() -> Node:
    """Return the accepted values of `M:`; their values are `Metre`."""
    return build((value, metre(value)) for value in _metre_values())


@lru_cache(maxsize=1)
def key_words() -> Node:
    """Return the accepted values of `K:` without explicit accidentals; their values are `Key`."""
    return build((value, parse_key(value, NO_KEY)) for value in _key_values())


@lru_cache(maxsize=1)
def unit_words() -> Node:
    """Return the accepted values of `L:`; their values are grains."""
    values = ("1", *(f"1/{unit}" for unit in (1, 2, 4, 8, 16, 32, 64)))
    return build((value, unit_of(value)) for value in values)


def words_that(root: Node, accepts: Callable[[Any], object]) -> int:
    """Return the mask of the words whose value is accepted."""
    mask, nodes = 0, [root]
    while nodes:
        node = nodes.pop()
        if node.bit and accepts(node.value):
            mask |= node.bit
        nodes.extend(node.next.values())
    return mask


def key_of(value: str) -> Key:
    """Return the key of an accepted value."""
    return parse_key(value, NO_KEY)
