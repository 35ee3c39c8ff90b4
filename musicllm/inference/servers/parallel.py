"""Many requests at a time from code that waits for one result after the other.

The requests run in a thread with an event loop of its own, so that they go on while the caller
checks and stores what is finished. Everything that the caller sees happens in its own thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from musicllm.inference.servers.http import Server, Session

T = TypeVar("T")

Emit = Callable[[str], None]
Work = Callable[[Session, int, Emit], Awaitable[T]]
"""(session, index of the request, what takes pieces of text) -> its result."""


class _Piece(NamedTuple):
    number: int
    text: str


class _Done(NamedTuple, Generic[T]):
    number: int
    result: T


class _Failed(NamedTuple):
    error: BaseException


def in_parallel(
    server: Server,
    work: Work[T],
    count: int,
    *,
    num_parallel: int,
    on_piece: Callable[[int, str], None] | None = None,
) -> Iterator[tuple[int, T]]:
    """Yield the index and the result of every request, as they are finished.

    An error ends the other requests that are under way; so does closing the iterator.

    Args:
        server: to which the requests go.
        work: handles one of them.
        count: of the requests.
        num_parallel: requests under way.
        on_piece: is called with the pieces of text that `work` emits.
    """
    queue: SimpleQueue[_Piece | _Done[T] | _Failed] = SimpleQueue()
    loop = asyncio.new_event_loop()
    everything = loop.create_task(_all(server, work, count, num_parallel, queue))
    thread = threading.Thread(target=_run, args=(loop, everything, queue), daemon=True)
    thread.start()
    left = count
    try:
        while left:
            item = queue.get()
            if isinstance(item, _Failed):
                raise item.error
            if isinstance(item, _Piece):
                if on_piece is not None:
                    on_piece(item.number, item.text)
                continue
            left -= 1
            yield item.number, item.result
    finally:
        if left:
            with suppress(RuntimeError):  # the loop has ended by itself, on an error
                loop.call_soon_threadsafe(everything.cancel)
        thread.join()


def once(server: Server, work: Callable[[Session], Awaitable[T]]) -> T:
    """Return the result of one request."""

    async def first(session: Session, _index: int, _emit: Emit) -> T:
        return await work(session)

    [(_, result)] = in_parallel(server, first, 1, num_parallel=1)
    return result


def _run(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], queue: SimpleQueue[Any]
) -> None:
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        pass
    except BaseException as error:  # noqa: BLE001 - it is raised in the caller's thread
        queue.put(_Failed(_first(error)))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _all(
    server: Server, work: Work[T], count: int, num_parallel: int, queue: SimpleQueue[Any]
) -> None:
    waiting = iter(range(count))

    async def worker(session: Session) -> None:
        for index in waiting:

            def emit(text: str, index: int = index) -> None:
                queue.put(_Piece(index, text))

            queue.put(_Done(index, await work(session, index, emit)))

    async with server.session() as session, asyncio.TaskGroup() as group:
        for _ in range(min(num_parallel, count)):
            group.create_task(worker(session))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
