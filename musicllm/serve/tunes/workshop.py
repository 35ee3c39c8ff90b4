"""Work for tunes beside the event loop: a few threads, a queue with a limit, results remembered."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from musicllm.serve.desk import BusyError, ClosedError

T = TypeVar("T")

ENTRY_BYTES = 512
"""What remembering a value takes beside the value."""

ENDING_S = 5.0
"""Longest wait, at the end, for what is being computed (seconds)."""


class Workshop(Generic[T]):
    """Computes values in threads, each value once.

    Equal requests at the same time share one computation, and a client that leaves does not end it
    for the others. Errors are not remembered. For coroutines of one event loop. The threads never
    keep the process from ending, as those of an executor would until its queue is empty.

    Args:
        name: in messages and of the threads.
        num_threads: computed at the same time.
        num_waiting: further computations that may wait; one more is refused.
        max_bytes: of the values that are remembered; the oldest use goes first.
        size_of: size of a value in bytes.
    """

    def __init__(
        self,
        name: str,
        *,
        num_threads: int,
        num_waiting: int,
        max_bytes: int,
        size_of: Callable[[T], int],
    ) -> None:
        self._name = name
        self._limit = num_threads + num_waiting
        self._max_bytes, self._size_of = max_bytes, size_of
        self._jobs: SimpleQueue[tuple[Future[T], Callable[[], T]] | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            for number in range(num_threads)
        ]
        self._running: dict[Hashable, asyncio.Future[T]] = {}
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._num_bytes = 0
        self._is_closed = self._is_abandoned = False

    @property
    def num_bytes(self) -> int:
        """Size of the values that are remembered."""
        return self._num_bytes

    async def do(self, key: Hashable, work: Callable[[], T]) -> T:
        """Return the value of `key`, remembered or computed by `work` in a thread.

        Raises:
            BusyError: too many computations wait.
            ClosedError: the server is being stopped.
            BaseException: whatever `work` raises.
        """
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key][0]
        future = self._running.get(key)
        if future is None:
            future = self._begin(key, work)
        return await asyncio.shield(future)

    def close(self, timeout_s: float = ENDING_S) -> bool:
        """Take no more work, drop what waits, and return whether what runs has ended in time.

        What has not ends with the process; an engine that it has started ends by the limits of
        `music.render.fence`. Not for the event loop.
        """
        self._is_closed = True
        try:
            while (job := self._jobs.get_nowait()) is not None:
                job[0].cancel()
        except Empty:
            pass
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + timeout_s
        started = [thread for thread in self._threads if thread.ident is not None]
        for thread in started:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._is_abandoned = any(thread.is_alive() for thread in started)
        return not self._is_abandoned

    def _work(self) -> None:
        """Compute what is queued, until the end; nobody waits for what was abandoned."""
        while (job := self._jobs.get()) is not None:
            future, work = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                value = work()
            except BaseException as error:  # noqa: BLE001 - it belongs to who waits for it
                if not self._is_abandoned:
                    future.set_exception(error)
            else:
                if not self._is_abandoned:
                    future.set_result(value)
                del value
            del job, future, work  # while the thread waits, nothing of the last job is held

    def _begin(self, key: Hashable, work: Callable[[], T]) -> asyncio.Future[T]:
        if self._is_closed:
            raise ClosedError("the server is being stopped; it takes no new requests")
        if len(self._running) >= self._limit:
            raise BusyError(f"{len(self._running)} {self._name} wait already; try again later")
        for thread in self._threads:
            if thread.ident is None:
                thread.start()
        computed: Future[T] = Future()
        self._jobs.put((computed, work))
        future = asyncio.wrap_future(computed)
        self._running[key] = future
        future.add_done_callback(lambda done: self._end(key, done))
        return future

    def _end(self, key: Hashable, done: asyncio.Future[T]) -> None:
        del self._running[key]
        if done.cancelled() or done.exception() is not None:
            return
        value = done.result()
        size = self._size_of(value) + ENTRY_BYTES
        if size > self._max_bytes:
            return
        self._values[key] = (value, size)
        self._num_bytes += size
        while self._num_bytes > self._max_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self._num_bytes -= freed
