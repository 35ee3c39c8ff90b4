"""Feeds whose requests come at set times or any time, and tickets that note what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from musicllm.inference.requests import Completion, WritingRequest


@dataclass(eq=False)
class NotedTicket:
    """A request of a test.

    Attributes:
        most_pieces: it is over after so many pieces; None: never.
    """

    request: WritingRequest
    most_pieces: int | None = None
    seconds_left: float = 60.0
    pieces: list[str] = field(default_factory=list)
    completion: Completion | None = None
    error: Exception | None = None
    is_over: bool = False

    @property
    def is_told(self) -> bool:
        """Whether the last was told."""
        return self.completion is not None or self.error is not None

    def piece(self, text: str) -> None:
        self.pieces.append(text)
        if self.most_pieces is not None and len(self.pieces) >= self.most_pieces:
            self.is_over = True

    def done(self, completion: Completion) -> None:
        assert self.completion is None
        assert self.error is None
        self.completion = completion

    def fail(self, error: Exception) -> None:
        assert self.completion is None
        assert self.error is None
        self.error = error


class TimedFeed:
    """Tickets that come as others are written: with times [0, 3], the second can first be taken
    by the fourth call of `take`. While nothing is written, the next one comes at once.
    """

    def __init__(self, tickets: Sequence[NotedTicket], times: Sequence[int]) -> None:
        self._left = list(zip(times, tickets, strict=True))
        self._now = -1

    @property
    def is_closed(self) -> bool:
        return not self._left

    def take(self) -> NotedTicket | None:
        self._now += 1
        if self._left and self._left[0][0] <= self._now:
            return self._left.pop(0)[1]
        return None

    def wait(self) -> bool:
        if self._left:
            self._now = max(self._now, self._left[0][0])
        return bool(self._left)

    def listen(self, wake: Callable[[], None] | None) -> None:
        pass


class OpenFeed:
    """Tickets that wait at once, and more that come later, until it is closed."""

    def __init__(self, *tickets: NotedTicket) -> None:
        self._waiting = list(tickets)
        self._is_closing = False
        self._wake: Callable[[], None] | None = None
        self._lock = threading.Condition()

    @property
    def is_closed(self) -> bool:
        return self._is_closing and not self._waiting

    def add(self, ticket: NotedTicket) -> NotedTicket:
        self._waiting.append(ticket)
        self.wake()
        return ticket

    def close(self) -> None:
        self._is_closing = True
        self.wake()

    def wake(self) -> None:
        with self._lock:
            self._lock.notify_all()
            if self._wake is not None:
                self._wake()

    def take(self) -> NotedTicket | None:
        return self._waiting.pop(0) if self._waiting else None

    def wait(self) -> bool:
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._is_closing)
        return bool(self._waiting)

    def listen(self, wake: Callable[[], None] | None) -> None:
        self._wake = wake


@contextmanager
def serving(engine: Any, *tickets: NotedTicket) -> Iterator[OpenFeed]:
    """Let an engine serve in a thread, with a feed that is closed at the end of the block."""
    feed = OpenFeed(*tickets)
    errors: list[Exception] = []

    def work() -> None:
        try:
            engine.serve(feed)
        except Exception as error:  # noqa: BLE001 - it is raised in the thread of the test
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        feed.close()
        thread.join(60)
        assert not thread.is_alive(), "the engine does not return"
        if errors:
            raise errors[0]
