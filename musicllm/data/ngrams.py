"""Words of a text, and 64-bit hashes of all runs of n words, without a loop over words.

A word is a run of letters and digits; whatever else stands between words counts as one space. Each
Chinese character and Japanese kana is a word. Case is the caller's concern.

The hash of a run is that of its bytes, a polynomial modulo 2**64 over values drawn for each byte,
so it comes from two prefix sums whatever n is (Karp and Rabin, 1987), and is the same on every
machine.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

_SPACE = ord(" ")
_OTHER = bytes(c for c in range(128) if not chr(c).isalnum())
_SEPARATED = bytes.maketrans(_OTHER, b" " * len(_OTHER))
_FOREIGN_SIGNS = re.compile(r"[^\w\x00-\x7f]+")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse


class Words:
    """The words of one text.

    Building costs about 40 bytes of memory for a byte of text, and time linear in it.

    Attributes:
        joined: UTF-8 of the words with one space between them.
    """

    def __init__(self, text: str) -> None:
        if not text.isascii():
            text = unicodedata.normalize("NFKC", text)
            text = _IDEOGRAPHS.sub(r" \g<0> ", _FOREIGN_SIGNS.sub(" ", text))
        separated = text.encode("utf-8", "replace").translate(_SEPARATED)
        self.joined = b" ".join(separated.split())

    def __len__(self) -> int:
        return len(self._ends) if self.joined else 0

    def hashes(self, *sizes: int) -> Hashes:
        """Return the hashes of all runs of n words, for one size n after another.

        Args:
            sizes: each of them n; there are max(0, words - n + 1) runs, in their order.

        Raises:
            ValueError: a size is below 1.
        """
        if min(sizes) < 1:
            raise ValueError(f"n={min(sizes)} must be at least 1")
        return mix(np.concatenate([self._unmixed(n) for n in sizes]))

    def run(self, start: int, n: int) -> bytes:
        """Return n words from a place, joined."""
        return self.joined[self._starts[start] : self._ends[start + n - 1]]

    def _unmixed(self, n: int) -> Hashes:
        count = max(0, len(self) - n + 1)
        starts, ends = self._starts[:count], self._ends[n - 1 : n - 1 + count]
        sums, unshift = self._sums
        return (sums[ends] - sums[starts]) * unshift[starts]

    @cached_property
    def _bytes(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.joined, np.uint8)

    @cached_property
    def _spaces(self) -> npt.NDArray[np.int64]:
        return np.flatnonzero(self._bytes == _SPACE)

    @cached_property
    def _starts(self) -> npt.NDArray[np.int64]:
        return np.concatenate(([0], self._spaces + 1))

    @cached_property
    def _ends(self) -> npt.NDArray[np.int64]:
        return np.concatenate((self._spaces, [len(self.joined)]))

    @cached_property
    def _sums(self) -> tuple[Hashes, Hashes]:
        """Return sums of shifted values before each byte, and what undoes the shift of each."""
        size = len(self.joined)
        shift, unshift = _powers(size.bit_length())
        sums = np.zeros(size + 1, np.uint64)
        np.cumsum(_VALUES[self._bytes] * shift[:size], out=sums[1:])
        return sums, unshift


def mix(values: Hashes) -> Hashes:
    """Spread 64-bit values so that every bit depends on every other (splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_VALUES = mix(np.arange(1, 257, dtype=np.uint64))


@lru_cache(maxsize=1)
def _powers(num_bits: int) -> tuple[Hashes, Hashes]:
    """Return the powers of the base and of its inverse for texts of less than 2**num_bits bytes."""
    both = (np.full(1 << num_bits, base, np.uint64) for base in (_BASE, pow(_BASE, -1, 1 << 64)))
    shift, unshift = (np.cumprod(base) for base in both)
    return shift, unshift
