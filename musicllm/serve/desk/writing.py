"""A request at the desk: a ticket for the engine, an asynchronous iterator for its client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import TracebackType

from musicllm.inference.requests import Completion, WritingRequest
from musicllm.serve.desk.events import Done, End, Event, Piece

NOTHING = Completion("", 0, finished=False, num_prompt_tokens=0)


class Writing:
    """See the module; use as `async with desk.write(request) as writing`.

    The engine calls `piece`, `done` and `fail` from its thread, the client everything else.

    Args:
        request: what is written.
        time_limit_s: an answer that takes longer ends there, with what is written.
        changed: is called when the client wants no more.
    """

    def __init__(
        self, request: WritingRequest, time_limit_s: float, changed: Callable[[Writing], None]
    ) -> None:
        self.request = request
        self._time_limit_s = time_limit_s
        self._changed = changed
        self._deadline: float | None = None
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue()
        self._end: End | None = None
        self._is_left = False
        self.is_told = False

    async def __aenter__(self) -> Writing:
        """Return itself; the request is at the desk already."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave: what is not written yet is not written."""
        self._is_left = True
        self._changed(self)

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield the events until `Done`.

        Raises:
            MusicLLMError: whatever the engine raises on this request.
        """
        while True:
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event
            if isinstance(event, Done):
                return

    def stop(self) -> None:
        """End the text where it is; `Done` comes with what is written. From any thread."""
        self._end = self._end or "stopped"
        self._changed(self)

    def begin(self) -> None:
        """Begin to count the time; the engine takes the request now."""
        self._deadline = time.monotonic() + self._time_limit_s

    @property
    def seconds_left(self) -> float:
        """See `Ticket`."""
        assert self._deadline is not None, "only a request that was taken is written"
        return self._deadline - time.monotonic()

    @property
    def is_over(self) -> bool:
        """See `Ticket`."""
        if self._end is None and self._deadline is not None and self.seconds_left <= 0:
            self._end = "time"
        return self._is_left or self._end is not None

    def piece(self, text: str) -> None:
        """See `Ticket`."""
        if text and not self._is_left:
            self.tell(Piece(text))

    def done(self, completion: Completion) -> None:
        """See `Ticket`."""
        end: End = "model" if completion.finished else self._end or "length"
        self._last(Done(completion, end))

    def fail(self, error: Exception) -> None:
        """See `Ticket`."""
        self._last(error)

    def tell(self, event: Event | Exception) -> None:
        """Send an event, from any thread."""
        with suppress(RuntimeError):  # the client's loop has ended, and so has the client
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)

    def _last(self, event: Done | Exception) -> None:
        """Send the last event, once."""
        if not self.is_told:
            self.is_told = True
            self.tell(event)
            self._changed(self)
