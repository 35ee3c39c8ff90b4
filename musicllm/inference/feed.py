"""Requests that come while others are being written, and what becomes of each.

An engine that can be joined (`engines.Joinable`) takes requests whenever it has room, and tells
each what is written for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from musicllm.inference.requests import Completion, WritingRequest


class Ticket(Protocol):
    """A request that was taken from a feed; its methods never raise, and never wait."""

    request: WritingRequest

    @property
    def is_over(self) -> bool:
        """Whether nothing more shall be written: the client has left, or the time is over."""

    @property
    def seconds_left(self) -> float:
        """How long it may still be written (seconds)."""

    def piece(self, text: str) -> None:
        """Take text that was just written."""

    def done(self, completion: Completion) -> None:
        """Take the whole; of a ticket that is over, what is written so far."""

    def fail(self, error: Exception) -> None:
        """Take the error of this request."""


class Feed(Protocol):
    """Where requests come from; safe to use from any thread."""

    @property
    def is_closed(self) -> bool:
        """Whether no further requests will come, and none waits."""

    def take(self) -> Ticket | None:
        """Return the next request, or None where none waits."""

    def wait(self) -> bool:
        """Wait for a request; False: the feed is closed."""

    def listen(self, wake: Callable[[], None] | None) -> None:
        """Have a function called whenever a request comes, one is over, or the feed is closed."""
