"""The queue: requests of coroutines, written by an engine in a thread of its own.

The engine is only ever called from that thread, and takes requests from the queue as it has room,
the first to come first. An engine that cannot be joined writes one after the other (`alone`).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from musicllm.inference.engines import Engine, Joinable
from musicllm.inference.requests import WritingRequest
from musicllm.serve.desk.alone import one_by_one
from musicllm.serve.desk.events import BusyError, ClosedError, Waiting
from musicllm.serve.desk.writing import NOTHING, Writing

CUTTING_S = 10.0
"""What still runs when the time to finish is over ends at its next token, or within this time."""


@dataclass(frozen=True)
class DeskLimits:
    """Limits of a desk.

    Attributes:
        num_waiting: requests that may wait; one more is refused.
        time_limit_s: an answer that takes longer ends there, with what is written.
    """

    num_waiting: int
    time_limit_s: float


class Desk:
    """See the module; for the engine it is the `Feed`."""

    def __init__(self, engine: Engine, limits: DeskLimits) -> None:
        """Begin to work.

        Args:
            engine: writes; the desk does not close it.
            limits: of the queue and of an answer.
        """
        self._engine = engine
        self._limits = limits
        self._num_together = engine.num_together if isinstance(engine, Joinable) else 1
        self._waiting: deque[Writing] = deque()
        self._running: list[Writing] = []
        self._changed = threading.Condition(threading.RLock())
        self._wake: Callable[[], None] | None = None
        self._is_closing = False
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    def write(self, request: WritingRequest) -> Writing:
        """Queue a request; use as `async with desk.write(request) as writing`.

        Raises:
            BusyError: the queue is full.
            ClosedError: the desk is being closed.
        """
        with self._changed:
            if self._is_closing:
                raise ClosedError("the server is being stopped; it takes no new requests")
            num_free = max(0, self._num_together - len(self._running))  # for which nobody waits
            if len(self._waiting) >= self._limits.num_waiting + num_free:
                raise BusyError(
                    f"as many requests wait as may wait "
                    f"(serve.num_waiting={self._limits.num_waiting}); try again later"
                )
            writing = Writing(request, self._limits.time_limit_s, self._update)
            self._waiting.append(writing)
            writing.tell(Waiting(len(self._waiting) - 1))
            self._notify()
        return writing

    def close(self, timeout_s: float) -> bool:
        """Take no new requests, and return whether all that are here were finished in time.

        Those that were not end with what is written of them.
        """
        with self._changed:
            self._is_closing = True
            self._notify()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            return True
        with self._changed:
            left = [*self._running, *self._waiting]
        for writing in left:
            writing.stop()
        self._thread.join(CUTTING_S)
        return False

    @property
    def is_closed(self) -> bool:
        """See `Feed`."""
        with self._changed:
            return self._is_closing and not self._waiting

    def take(self) -> Writing | None:
        """See `Feed`."""
        with self._changed:
            if not self._waiting:
                return None
            writing = self._waiting.popleft()
            writing.begin()
            self._running.append(writing)
            self._tell_positions(0)
        return writing

    def wait(self) -> bool:
        """See `Feed`."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closing)
            return bool(self._waiting)

    def listen(self, wake: Callable[[], None] | None) -> None:
        """See `Feed`."""
        with self._changed:
            self._wake = wake

    def _update(self, writing: Writing) -> None:
        """Take a request that is over, or of which the last was told, out of where it is."""
        with self._changed:
            if writing in self._waiting:
                place = self._waiting.index(writing)
                self._waiting.remove(writing)
                self._tell_positions(place)
                writing.done(NOTHING)
            elif writing.is_told and writing in self._running:
                self._running.remove(writing)
            self._notify()

    def _tell_positions(self, first: int) -> None:
        for position, writing in enumerate(self._waiting):
            if position >= first:
                writing.tell(Waiting(position))

    def _notify(self) -> None:
        self._changed.notify_all()
        if self._wake is not None:
            self._wake()

    def _work(self) -> None:
        """Let the engine serve; an error of the engine itself ends what runs, and nothing else."""
        while self.wait():
            try:
                if isinstance(self._engine, Joinable):
                    self._engine.serve(self)
                else:
                    one_by_one(self._engine, self)
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait for it
                self._lost(error)
            finally:
                self.listen(None)

    def _lost(self, error: Exception) -> None:
        """Tell the error of an engine to those for whom it wrote, or could not begin."""
        with self._changed:
            lost = list(self._running)
            if not lost and self._waiting:
                lost = [self._waiting.popleft()]
        for writing in lost:
            writing.fail(error)
