"""Has texts written by a desk for one client, with stop strings, until the client leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive

from musicllm.inference.requests import Completion, WritingRequest
from musicllm.serve.api.closing import Closing
from musicllm.serve.api.service import ServedModel
from musicllm.serve.api.stops import Cutter
from musicllm.serve.chat.tunes import breach_of
from musicllm.serve.desk import ClosedError, Done, Event, Piece, Waiting, Writing

T = TypeVar("T")

TextEnd = Literal["model", "length", "time", "stopped"]
"""Who ended a text: the model, the limit of its length or of time, or a stop string."""


@dataclass(frozen=True)
class Text:
    """A text that is written.

    Attributes:
        text: up to the stop string.
        end: see `TextEnd`.
        seed: of its random numbers.
        num_new_tokens: its length; of a text that was ended early, as it is counted when read
            again; None if the engine does not say.
        num_prompt_tokens: None likewise.
        breach: where the text is not legal, by an engine that does not follow the grammar; empty
            where it is, and None where nothing was to be checked.
    """

    text: str
    end: TextEnd
    seed: int
    num_new_tokens: int | None
    num_prompt_tokens: int | None
    breach: str | None = None


class Listener(Protocol):
    """What is done with several texts while they are written; `index` is that of the request."""

    async def waiting(self, index: int, position: int) -> None:
        """Take that so many requests come first."""

    async def piece(self, index: int, text: str) -> None:
        """Take text that was just written."""

    async def done(self, index: int, text: Text) -> None:
        """Take the whole text."""


class Writings:
    """Requests at a desk; each is left when its text is there, at the latest by `close`."""

    def __init__(
        self, model: ServedModel, requests: Sequence[WritingRequest], stops: Sequence[str]
    ) -> None:
        self._model = model
        self._requests = requests
        self._stops = stops
        self._open: list[tuple[Writing, AsyncExitStack]] = []

    @classmethod
    async def begin(
        cls, model: ServedModel, requests: Sequence[WritingRequest], stops: Sequence[str]
    ) -> Writings:
        """Queue requests, all or none.

        Raises:
            BusyError: the queue is full.
            ClosedError: the server is being stopped.
            NotAvailableError: the model is not ready.
        """
        _, desk = model.ready()
        writings = cls(model, requests, stops)
        try:
            for request in requests:
                stack = AsyncExitStack()
                writing = await stack.enter_async_context(desk.write(request))
                writings._open.append((writing, stack))
        except BaseException:
            await writings.close()
            raise
        return writings

    @property
    def count(self) -> int:
        """Number of the requests."""
        return len(self._requests)

    async def follow(self, listener: Listener) -> None:
        """Tell what is written until every text is there.

        Raises:
            MusicLLMError: what the engine raises on one of the requests; the others end.
        """
        tasks = [
            asyncio.create_task(self._follow_one(index, listener))
            for index in range(len(self._open))
        ]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Leave what is not written yet."""
        for _, stack in self._open:
            await stack.aclose()

    async def _follow_one(self, index: int, listener: Listener) -> None:
        (writing, stack), cutter = self._open[index], Cutter(self._stops)
        written = ""
        async with stack:
            async for event in writing:
                if isinstance(event, Waiting):
                    await listener.waiting(index, event.position)
                    continue
                new = event.text if isinstance(event, Piece) else ""
                if isinstance(event, Done) and event.completion.text.startswith(written):
                    new = event.completion.text[len(written) :]  # an engine may stream in part
                written += new
                shown = cutter.take(new)
                if isinstance(event, Done):
                    shown += cutter.rest()
                if shown:
                    await listener.piece(index, shown)
                if cutter.is_stopped or isinstance(event, Done):
                    break
        await listener.done(index, await self._finished(index, cutter, event))

    async def _finished(self, index: int, cutter: Cutter, event: Event) -> Text:
        seed, text = self._requests[index].seed, cutter.text
        if cutter.is_stopped or not isinstance(event, Done):
            count = await run_in_threadpool(self._model.count_written, text)
            return Text(text, "stopped", seed, count, None, await self._breach(index, text, False))
        new, prompt = _counts(event.completion)
        breach = await self._breach(index, text, event.end == "model")
        return Text(text, event.end, seed, new, prompt, breach)

    async def _breach(self, index: int, text: str, is_whole: bool) -> str | None:
        """Return where a text is not legal, if its engine does not follow the grammar."""
        request = self._requests[index]
        if request.rules is None or self._model.follows_grammar:
            return None
        whole = f"{request.text or ''}{text}"
        return await run_in_threadpool(breach_of, whole, request.rules, is_whole=is_whole)


class Collected:
    """A listener that keeps the whole texts."""

    def __init__(self, count: int) -> None:
        self._texts: list[Text | None] = [None] * count

    @property
    def texts(self) -> list[Text]:
        """The texts, in the order of their requests."""
        return [text for text in self._texts if text is not None]

    async def waiting(self, index: int, position: int) -> None:
        """See `Listener`."""

    async def piece(self, index: int, text: str) -> None:
        """See `Listener`."""

    async def done(self, index: int, text: Text) -> None:
        """See `Listener`."""
        self._texts[index] = text


async def until_left(work: Coroutine[Any, Any, None], receive: Receive) -> None:
    """Do some work until it is done or the client leaves; raises as the work does.

    Args:
        work: is cancelled if the client leaves.
        receive: of ASGI, after the body.
    """

    async def left() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    await _unless(work, left())


async def until_cut(work: Coroutine[Any, Any, T], closing: Closing) -> T:
    """Do some work until it is done, and return its result; raises as the work does.

    Raises:
        ClosedError: the server is stopped first.
    """
    working = await _unless(work, closing.until_cut())
    if working.cancelled():
        raise ClosedError("the server is being stopped, and this answer was not whole in time")
    return working.result()


async def _unless(
    work: Coroutine[Any, Any, T], event: Coroutine[Any, Any, None]
) -> asyncio.Future[T]:
    """Do some work unless an event comes first; return it, done or cancelled.

    What the work raises is raised.
    """
    working, coming = asyncio.ensure_future(work), asyncio.ensure_future(event)
    try:
        await asyncio.wait((working, coming), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
        return working
    finally:
        for task in (working, coming):
            task.cancel()
        await asyncio.gather(working, coming, return_exceptions=True)


def _counts(completion: Completion) -> tuple[int | None, int | None]:
    """Return the tokens of text and prompt, each None where the engine does not count."""
    new, prompt = completion.num_new_tokens, completion.num_prompt_tokens
    return (new if new or not completion.text else None), prompt or None
