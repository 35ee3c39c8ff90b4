"""Token documents while they are made: stretches of tokens that are supervised or not."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from musicllm.data.bytepairs import Ids
from musicllm.data.documents import Documents

Stretch = tuple[Ids, bool]
"""Tokens, and whether they are supervised."""


class TokenDocument(NamedTuple):
    """One document.

    Attributes:
        stretches: its tokens, in order.
        is_cut: whether it lost some.
    """

    stretches: Sequence[Stretch]
    is_cut: bool = False

    @property
    def num_tokens(self) -> int:
        """How long it is."""
        return sum(len(ids) for ids, _ in self.stretches)

    @property
    def num_supervised(self) -> int:
        """How many tokens can be learned: nothing predicts the first one."""
        counts = [counts for ids, counts in self.stretches if ids]
        total = sum(len(ids) for ids, counts in self.stretches if counts)
        return total - counts[0] if counts else 0


@dataclass
class GrowingDocuments:
    """Documents that are added one by one; no work is done token by token."""

    _ids: Ids = field(default_factory=lambda: array("i"))
    _lengths: list[int] = field(default_factory=list)
    _runs: list[int] = field(default_factory=list)
    _counts: list[bool] = field(default_factory=list)

    def add(self, document: TokenDocument) -> None:
        """Append a document of at least one token."""
        for ids, counts in document.stretches:
            self._ids.extend(ids)
            self._runs.append(len(ids))
            self._counts.append(counts)
        self._lengths.append(document.num_tokens)

    def finished(self) -> Documents:
        """Return all that was added."""
        offsets = np.cumsum([0, *self._lengths], dtype=np.int64)
        supervised = np.repeat(np.array(self._counts, np.bool_), self._runs)
        supervised[offsets[:-1]] = False
        return Documents(np.frombuffer(self._ids, np.int32), supervised, offsets)
