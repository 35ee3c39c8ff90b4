"""A server, and one conversation with it: questions, streams, patience and errors.

Knows HTTP and JSON alone. Paths and fields are those of the engines.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2 as httpx

from musicllm import console
from musicllm.errors import NotAvailableError
from musicllm.inference.servers import errors
from musicllm.inference.servers.errors import BusyError, RefusedError

T = TypeVar("T")

CONNECTING_S = 10.0
"""A server that accepts no connection within this time is not there."""

NO_LIMIT_S = 1e6
"""Patience with a server of our own, which has as much to compute as it is asked to."""

FIRST_WAIT_S, MOST_WAIT_S = 1.0, 120.0
"""Before the second try, and the longest; the waits between are twice as long each."""

BUSY = (408, 409, 425, 429)
"""Statuses besides those from 500 on after which another try is worth it."""

UNPAID = 402
"""No request is served until the account is paid."""

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Server:
    """Where a server is, and how patient we are with it.

    Attributes:
        url: base address, without a slash at the end.
        setting: that names it, such as `model.endpoint`; messages begin with it.
        key: sent as bearer token; None sends none.
        variable: of the environment, which holds the key.
        timeout_s: longest wait for an answer or, while it streams, for its next piece (seconds).
        max_tries: of a request that could not be served.
    """

    url: str
    setting: str
    key: str | None
    variable: str
    timeout_s: float
    max_tries: int

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"{self.setting}={self.url}"

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return urlsplit(self.url).hostname in LOCAL

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Open connections, which are closed at the end."""
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        timeout = httpx.Timeout(
            self.timeout_s, connect=min(CONNECTING_S, self.timeout_s), pool=None
        )
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            headers=headers, timeout=timeout, limits=limits, trust_env=not self.is_local
        ) as client:
            yield Session(self, client)


class Session:
    """Open connections to a server."""

    def __init__(self, server: Server, client: httpx.AsyncClient) -> None:
        self._server = server
        self._client = client
        self._noted: set[str] = set()

    async def get(self, path: str) -> Any:
        """Return the JSON at a path; errors as `post`."""
        return await self._patiently(lambda: self._whole("GET", path, None))

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return the JSON that answers a body.

        Raises:
            RefusedError: the request itself is refused.
            ConfigError: a key is missing or refused.
            NotAvailableError: there is no server, no answer in time, no JSON, or a server that
                stays busy.
        """
        return await self._patiently(lambda: self._whole("POST", path, body))

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Any]:
        """Yield the JSON of every event that answers a body; errors as `post`.

        A stream that is cut off after its first event is not begun again.
        """

        async def begin() -> tuple[AsyncGenerator[Any, None], Any]:
            events = self._events(path, body)
            return events, await anext(events, None)

        events, event = await self._patiently(begin)
        try:
            while event is not None:
                yield event
                event = await anext(events, None)
        finally:
            await events.aclose()

    async def _patiently(self, once: Callable[[], Awaitable[T]]) -> T:
        """Return what succeeds, trying again as long as the server is only busy."""
        server = self._server
        for number in range(1, server.max_tries):
            try:
                return await once()
            except BusyError as busy:
                wait = FIRST_WAIT_S * 2 ** (number - 1) if busy.wait_s is None else busy.wait_s
                if wait > MOST_WAIT_S:
                    break
                self._note(str(busy), wait)
                await asyncio.sleep(wait * random.uniform(1, 1.25))  # not all at the same time
        try:
            return await once()
        except BusyError as busy:
            tries = "1 try" if server.max_tries == 1 else f"{server.max_tries} tries"
            raise NotAvailableError(f"{busy}; given up after {tries}") from None

    def _note(self, reason: str, wait_s: float) -> None:
        if reason not in self._noted:  # many requests run into the same
            console.note(f"{reason}; next try in {wait_s:.3g} s")
        self._noted.add(reason)

    async def _whole(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        with self._translated():
            response = await self._client.request(method, self._server.url + path, json=body)
            self._refuse(response)
            return self._parsed(response.text)

    async def _events(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
        """Yield the data of server-sent events (https://html.spec.whatwg.org, 9.2)."""
        url = self._server.url + path
        with self._translated():
            async with self._client.stream("POST", url, json=body) as response:
                if response.is_error:
                    await response.aread()
                    self._refuse(response)
                other = ""
                async for line in response.aiter_lines():
                    field, _, data = line.partition(":")
                    if field != "data":
                        other = other or line
                        continue
                    if data.strip() == "[DONE]":
                        return
                    yield self._event(data)
        if other:
            raise errors.rubbish(self._server.label, other)

    def _event(self, data: str) -> Any:
        event = self._parsed(data)
        if isinstance(event, dict) and event.get("error"):
            raise RefusedError(self._server.label, 200, _words(data))
        return event

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except ValueError:
            raise errors.rubbish(self._server.label, text) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the connection raises into messages for users."""
        server = self._server
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise errors.not_reached(server.label, str(error) or "no connection") from None
        except httpx.TimeoutException:
            raise errors.no_answer(server.label, "inference.timeout_s", server.timeout_s) from None
        except httpx.InvalidURL as error:
            raise RefusedError(server.label, 0, str(error)) from None
        except httpx.TransportError:
            raise errors.cut_off(server.label) from None

    def _refuse(self, response: httpx.Response) -> None:
        server, status = self._server, response.status_code
        if response.is_success:
            return
        words = _words(response.text)
        if status in (401, 403):
            has_key = server.key is not None
            raise errors.not_allowed(server.setting, server.url, status, server.variable, has_key)
        if status == UNPAID:
            raise errors.unpaid(server.setting, server.url, words)
        if status in BUSY or status >= 500:
            reason = f"{server.label} answers {status}: {words or 'no reason stated'}"
            raise BusyError(reason, _retry_after(response.headers.get("Retry-After")))
        raise RefusedError(server.label, status, words)


def _words(text: str) -> str:
    """Return the message in an error's body, or the beginning of the body."""
    try:
        message: Any = json.loads(text)
        while isinstance(message, dict):
            message = message.get("error") or message.get("message") or message.get("detail")
    except ValueError:
        message = text
    return errors.shown(message if isinstance(message, str) and message else text)


def _retry_after(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110, 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
