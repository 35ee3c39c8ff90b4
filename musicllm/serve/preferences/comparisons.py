"""Blind comparisons: two writers behind letters, drawn by the server, until somebody has voted.

A side is written through the API under a name of its own, which says nothing about who writes; what
else tells the writers apart, such as the grammar, is here and not in the request.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from musicllm.errors import InputError

LETTERS = ("a", "b")
LIFETIME_S = 3600.0
MAX_OPEN = 1000
"""Comparisons without a vote; the oldest is forgotten beyond."""


@dataclass(frozen=True)
class Side:
    """One of two writers.

    Attributes:
        model: name of the model.
        label: for people, such as `quickstart/merge, with the grammar`.
        fields: of the request that only the server knows: `grammar` and `tune`.
    """

    model: str
    label: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Two writers behind letters.

    Attributes:
        id: by which a client names it.
        sides: by letter.
        begun_s: of the clock.
    """

    id: str
    sides: Mapping[str, Side]
    begun_s: float

    def name(self, letter: str) -> str:
        """Return the name under which the API writes a side."""
        return f"blind-{self.id}-{letter}"


class Comparisons:
    """The comparisons without a vote; safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without any; `clock` counts seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Comparison] = OrderedDict()
        self._names: dict[str, Side] = {}

    def begin(self, writers: Sequence[Side]) -> Comparison:
        """Draw which of two writers is behind which letter."""
        assert len(writers) == len(LETTERS), "a comparison has two sides"
        order = list(writers)
        if secrets.randbelow(2):
            order.reverse()
        new = Comparison(
            secrets.token_hex(8), dict(zip(LETTERS, order, strict=True)), self._clock()
        )
        with self._lock:
            self._forget(room=1)
            self._add(new)
        return new

    def side(self, name: str) -> Side | None:
        """Return who writes under a name; None if it is no side of an open comparison."""
        with self._lock:
            self._forget()
            return self._names.get(name)

    @contextmanager
    def ending(self, name: str) -> Iterator[Comparison]:
        """Close a comparison, which can be done once; after an error inside it is open again.

        Raises:
            InputError: there is none: it has its vote, or an hour is over.
        """
        with self._lock:
            self._forget()
            if name not in self._open:
                raise InputError(
                    "this comparison is over: it has its vote, or more than an hour has passed; "
                    "begin another"
                )
            comparison = self._close(name)
        try:
            yield comparison
        except BaseException:
            with self._lock:
                self._add(comparison)
                self._open.move_to_end(name, last=False)
            raise

    def _add(self, comparison: Comparison) -> None:
        self._open[comparison.id] = comparison
        for letter, side in comparison.sides.items():
            self._names[comparison.name(letter)] = side

    def _forget(self, room: int = 0) -> None:
        """Forget what is too old, and the oldest where there is no room for so many more."""
        while self._open:
            oldest = next(iter(self._open.values()))
            is_late = self._clock() - oldest.begun_s > LIFETIME_S
            if not is_late and len(self._open) + room <= MAX_OPEN:
                return
            self._close(oldest.id)

    def _close(self, name: str) -> Comparison:
        comparison = self._open.pop(name)
        for letter in comparison.sides:
            del self._names[comparison.name(letter)]
        return comparison
