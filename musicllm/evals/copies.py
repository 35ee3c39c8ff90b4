"""How much of a tune stands word for word in the training text.

The longest run of characters that a tune shares with one training tune is found exactly. Headers,
chord symbols and white space are left out, since titles, keys, harmonies and line ends are not what
is copied. Transposed copies are other characters; they are found by their melodies, in
`memorisation`. Judge the figures beside those of the held-out tunes, which share formulas and
near-variants with the training tunes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from musicllm.evals.memorisation import MelodyIndex
from musicllm.evals.suffixes import BETWEEN, SuffixIndex
from musicllm.music import abc
from musicllm.music.analysis import without_chords

NEAR_COPY_SHARE = 0.5
NEAR_COPY_CHARACTERS = 32
"""A tune is a near-copy when one run makes up this share of it or more, and is not shorter than
this many characters, about four bars, which short tunes share by chance."""


@dataclass(frozen=True)
class CommonRun:
    """The longest run of a tune that stands in a training text.

    Attributes:
        length: in characters of the body.
        share: of the body; 0 for an empty one.
        source: index of a training text that holds it; -1 when no character is shared.
    """

    length: int
    share: float
    source: int

    @property
    def is_near_copy(self) -> bool:
        """Whether the run is large enough, in share and in length."""
        return self.share >= NEAR_COPY_SHARE and self.length >= NEAR_COPY_CHARACTERS


class CopyIndex:
    """An index over training texts, by their characters and by their melodies.

    Costs: those of `SuffixIndex` for the characters, and of `MelodyIndex` for the melodies.

    Args:
        texts: training texts; what is not ABC counts as one body.

    Attributes:
        melodies: the same texts by their melodies.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._bodies = SuffixIndex([body(text).replace(BETWEEN, "") for text in texts])
        self.melodies = MelodyIndex(texts)

    @property
    def num_characters(self) -> int:
        """Characters of all bodies, with one between each two."""
        return self._bodies.num_characters

    def longest_run(self, text: str) -> CommonRun:
        """Return the longest run of a tune's body that stands in one training text."""
        own = body(text).replace(BETWEEN, "")
        length, source = self._bodies.longest_run(own)
        return CommonRun(length, length / len(own) if own else 0.0, source)


def body(text: str) -> str:
    """Return what follows a tune's first `K:` line, without chord symbols and white space.

    Of a text without such a line it is all of it.
    """
    lines = without_chords(abc.unfold(text)).split("\n")
    key = next((number for number, line in enumerate(lines) if line.startswith("K:")), -1)
    return "".join("".join(lines[key + 1 :]).split())
