"""What is under way, and the end of the server: requests finish, or are told that they are cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Closing:
    """Requests under way, and how far the end of the server is.

    Attributes:
        has_begun: no new requests are taken.
        num_active: requests whose answers are not sent yet.
        num_finished: requests that were under way when the end began, and were answered.
        num_cut: those that were not.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self.num_active = 0
        self.num_finished = 0
        self.num_cut = 0
        self._is_cut = asyncio.Event()

    @contextmanager
    def active(self) -> Iterator[None]:
        """Count a request while it is answered."""
        self.num_active += 1
        try:
            yield
        finally:
            self.num_active -= 1
            self.num_finished += self.has_begun and not self._is_cut.is_set()

    def begin(self) -> None:
        """Take no new requests."""
        self.has_begun = True

    def cut(self) -> None:
        """End what is still under way."""
        if not self._is_cut.is_set():
            self.num_cut = self.num_active
            self._is_cut.set()

    @property
    def is_cut(self) -> bool:
        """Whether what was under way has been ended."""
        return self._is_cut.is_set()

    async def until_cut(self) -> None:
        """Wait until what is under way has to end."""
        await self._is_cut.wait()
