"""Requests of a feed at a server: some at a time, each in a task that ends with its ticket.

A task that is cancelled closes its connection, which is how servers learn that they need not write
on: llama.cpp and vLLM look at it between tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from musicllm.inference.feed import Feed, Ticket
from musicllm.inference.requests import Completion, WritingRequest
from musicllm.inference.servers.answers import Written
from musicllm.inference.servers.http import Server, Session

WriteOne = Callable[[Session, WritingRequest, Written], Awaitable[Completion]]
"""(session, request, what notes what is written of it) -> the whole."""


def serve(server: Server, feed: Feed, write: WriteOne, *, num_parallel: int) -> None:
    """Write the requests of a feed until it is closed and everything is written.

    Args:
        server: that writes.
        feed: of requests.
        write: writes one of them; what it raises is that request's own error.
        num_parallel: requests under way at a time.
    """
    asyncio.run(_serve(server, feed, write, num_parallel))


async def _serve(server: Server, feed: Feed, write: WriteOne, num_parallel: int) -> None:
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    feed.listen(wake)
    running: dict[asyncio.Task[None], Ticket] = {}
    ending: set[asyncio.Task[None]] = set()
    async with server.session() as session:
        try:
            while running or not feed.is_closed:
                changed.clear()
                while len(running) < num_parallel and (ticket := feed.take()) is not None:
                    task = loop.create_task(_write(session, ticket, write))
                    task.add_done_callback(lambda _: changed.set())
                    running[task] = ticket
                over = {task for task, ticket in running.items() if ticket.is_over} - ending
                for task in over:
                    task.cancel()
                ending |= over
                going_on = [ticket for task, ticket in running.items() if task not in ending]
                left = [ticket.seconds_left for ticket in going_on]
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), max(0.0, min(left)) if left else None)
                ending -= (ended := {task for task in running if task.done()})
                for task in ended:
                    ticket = running.pop(task)
                    if task.cancelled():  # before it began
                        ticket.done(Written(ticket.piece).completion(finished=False))
        finally:
            feed.listen(None)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def _write(session: Session, ticket: Ticket, write: WriteOne) -> None:
    written = Written(ticket.piece)
    try:
        completion = await write(session, ticket.request, written)
    except asyncio.CancelledError:
        if not ticket.is_over:
            raise
        ticket.done(written.completion(finished=False))
    except Exception as error:  # noqa: BLE001 - it belongs to the client
        ticket.fail(error)
    else:
        ticket.done(completion)
