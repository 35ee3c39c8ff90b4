"""Finite sets of words, read one character at a time.

Each word has a bit, so that a caller can say which of them it accepts now: a mask of bits.
"""

from __future__ import annotations

from collections.abc import Iterable

ALL = -1
"""The mask that accepts every word."""


class Node:
    """A prefix of some words.

    Attributes:
        next: character -> longer prefix.
        bit: bit of the word that ends here; 0 if none does.
        value: what that word stands for.
        reach: bits of all words that start with this prefix.
    """

    __slots__ = ("bit", "next", "reach", "value")

    def __init__(self) -> None:
        self.next: dict[str, Node] = {}
        self.bit = 0
        self.value: object = None
        self.reach = 0

    def shortest(self, accepted: int = ALL) -> str:
        """Return the shortest text after which an accepted word is complete."""
        level = [("", self)]
        while level:
            for text, node in level:
                if node.bit & accepted:
                    return text
            level = [
                (text + char, node.next[char])
                for text, node in level
                for char in sorted(node.next)
                if node.next[char].reach & accepted
            ]
        raise AssertionError("no accepted word starts with this prefix")


def build(words: Iterable[tuple[str, object]]) -> Node:
    """Return the root of a set of words with values; bits are in the order of the words."""
    root = Node()
    for index, (word, value) in enumerate(words):
        bit = 1 << index
        node = root
        node.reach |= bit
        for char in word:
            node = node.next.setdefault(char, Node())
            node.reach |= bit
        assert not node.bit, f"{word!r} is listed twice"
        node.bit, node.value = bit, value
    return root
