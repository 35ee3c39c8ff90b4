"""What every request has to pass: its host, its origin, its key, the size of its body.

Without a key, requests that name another host than this machine are refused: else a page of the
internet whose name is made to resolve to this machine (DNS rebinding) would talk to the server.
Requests of other pages carry their origin, and are refused, too; there is no CORS.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from musicllm.serve.api import LOCAL
from musicllm.serve.api.errors import BadRequestError, of
from musicllm.serve.api.service import Service
from musicllm.serve.desk import ClosedError

MB = 1_000_000

OPEN = ("/", "/health")
OPEN_FOLDERS = ("/static/", "/sounds/")
"""What the page needs before it has a key, and what says no more than that the server is up."""

DRAINED_MB = 64
"""So much of a body that is refused is read, since many clients read no answer while they send."""

BODY_S = 60.0
"""Longest time in which a body has to arrive (seconds)."""


class LeftError(Exception):
    """The client left while it sent its request."""


class Guard:
    """ASGI middleware; see the module."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its whole body, or answer it with an error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            try:
                self._check(scope, headers)
            except (BadRequestError, ClosedError):
                if "expect" not in headers:
                    await _read(receive, 0)
                raise
            body = await _read(receive, self._limit(headers))
        except (BadRequestError, ClosedError) as error:
            await of(error)(scope, receive, send)
        except LeftError:
            return
        else:
            if scope["method"] != "POST":
                await self._app(scope, _again(body, receive), send)
                return
            with self._service.closing.active():
                await self._app(_of_json(scope), _again(body, receive), send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        """Refuse a request for what its head says.

        Raises:
            BadRequestError: host, origin or key are wrong, or the body is too large.
            ClosedError: the server is being stopped.
        """
        service = self._service
        check_host(headers.get("host", ""), service.settings.host, has_key=service.key is not None)
        check_origin(headers)
        if not is_open(scope["path"]):
            check_key(headers.get("authorization", ""), service.key)
        if service.closing.has_begun:
            raise ClosedError("the server is being stopped; it takes no new requests")
        if "expect" in headers:
            self._limit(headers)

    def _limit(self, headers: Mapping[str, str]) -> int:
        """Return the largest body, in bytes; with `Expect`, refuse a larger one before it comes."""
        limit = int(self._service.settings.max_body_mb * MB)
        length = headers.get("content-length", "0")
        if "expect" in headers and length.isdecimal() and int(length) > limit:
            raise too_large(limit)
        return limit


def is_open(path: str) -> bool:
    """Return whether a path needs no key."""
    return path in OPEN or path.startswith(OPEN_FOLDERS)


def check_host(named: str, host: str, *, has_key: bool) -> None:
    """Refuse a request for another host; a key protects as well.

    Args:
        named: the header `Host`.
        host: that the server listens on.
        has_key: requests must carry a key.

    Raises:
        BadRequestError: with status 421.
    """
    name = urlsplit(f"//{named}").hostname if _is_netloc(named) else None
    if has_key or (name is not None and name in (*LOCAL, host)):
        return
    raise BadRequestError(
        f"this server answers requests to {host}, and not to {named or 'no host'} (which protects "
        f"it from pages of the internet); address it so, or demand a key",
        status=421,
    )


def check_origin(headers: Mapping[str, str]) -> None:
    """Refuse a request that a page of another server sends.

    Raises:
        BadRequestError: with status 403.
    """
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host", ""):
        return
    raise BadRequestError(
        f"requests of other pages are refused, and this one comes from {origin}", status=403
    )


def check_key(authorization: str, key: str | None) -> None:
    """Refuse a request without the key.

    Args:
        authorization: the header.
        key: None demands none.

    Raises:
        BadRequestError: with status 401.
    """
    scheme, _, sent = authorization.partition(" ")
    if key is None:
        return
    if scheme.lower() == "bearer" and hmac.compare_digest(sent.strip().encode(), key.encode()):
        return
    rule = "the key of this request is wrong" if authorization else "this request carries no key"
    raise BadRequestError(
        f"{rule}; send it as Authorization: Bearer <key> (api_key of OpenAI's client)",
        status=401,
        code="invalid_api_key",
    )


def too_large(limit: int) -> BadRequestError:
    """Return the error of a body that is too large.

    Args:
        limit: in bytes.
    """
    return BadRequestError(
        f"the body is larger than {limit / MB:g} MB, which is the limit here (serve.max_body_mb); "
        f"send a shorter prompt",
        status=413,
    )


async def _read(receive: Receive, limit: int) -> bytes:
    """Return the body of a request; of one that is too large, hardly anything stays in memory.

    Args:
        receive: of ASGI.
        limit: in bytes; 0 throws the body away.

    Raises:
        BadRequestError: it is larger than the limit, or takes too long.
        LeftError: the client leaves.
    """
    parts: list[bytes] = []
    size, has_more = 0, True
    try:
        async with asyncio.timeout(BODY_S):
            while has_more and size <= max(limit, DRAINED_MB * MB):
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise LeftError
                size += len(message.get("body", b""))
                has_more = message.get("more_body", False)
                if size <= limit:
                    parts.append(message.get("body", b""))
                else:
                    parts.clear()
    except TimeoutError:
        raise BadRequestError(f"the body did not arrive within {BODY_S:g} s", status=408) from None
    if limit and size > limit:
        raise too_large(limit)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what receives a body that was read, and then what still comes."""
    waiting = [body]

    async def receive_again() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return receive_again


def _is_netloc(named: str) -> bool:
    try:
        urlsplit(f"//{named}").port  # noqa: B018 - raises where it is none
    except ValueError:
        return False
    return not set(named) & set("/?#@\\")


def _of_json(scope: Scope) -> Scope:
    """Return a request whose body is JSON, whatever `curl -d` called it."""
    others = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
    return {**scope, "headers": [*others, (b"content-type", b"application/json")]}
