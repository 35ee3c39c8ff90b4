"""Engines that cannot be joined: one request after the other."""

from __future__ import annotations

from musicllm.inference.engines import Engine
from musicllm.inference.feed import Feed, Ticket
from musicllm.inference.requests import Completion


class _Over(Exception):  # noqa: N818 - no error
    """A ticket is over."""


def one_by_one(engine: Engine, feed: Feed) -> None:
    """Write the requests of a feed until it is closed; one that is over ends at its next piece."""
    while feed.wait():
        if (ticket := feed.take()) is not None:
            _write(engine, ticket)


def _write(engine: Engine, ticket: Ticket) -> None:
    written: list[str] = []

    def take(_: int, text: str) -> None:
        written.append(text)
        ticket.piece(text)
        if ticket.is_over:
            raise _Over

    try:
        [(_, completion)] = engine.write([ticket.request], take)
    except _Over:
        ticket.done(Completion("".join(written), 0, finished=False, num_prompt_tokens=0))
    except Exception as error:  # noqa: BLE001 - it belongs to the client
        ticket.fail(error)
    else:
        ticket.done(completion)
