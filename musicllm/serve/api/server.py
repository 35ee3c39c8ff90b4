"""Runs the application until a signal ends it, and lets what is under way finish.

The first SIGINT or SIGTERM takes no new requests and gives the others `serve.closing_s`; the second
cuts them off; the third ends the process without waiting for anything.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn

from musicllm import console
from musicllm.serve.api.app import build_app
from musicllm.serve.api.service import Service

SIGNALS = (signal.SIGINT, signal.SIGTERM)

SPARE_S = 10
"""After the cut, so much time remains until uvicorn cancels the tasks of requests (seconds)."""


def run(service: Service, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Serve on a socket that listens, until a signal; then everything is closed.

    Args:
        service: what is served.
        listener: the socket.
        announce: is called when requests are answered, and signals taken.
    """
    closing_s = service.settings.closing_s
    config = uvicorn.Config(
        build_app(service),
        log_level="warning",
        lifespan="on",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(closing_s) + SPARE_S,
    )
    Server(config, service, announce).run(sockets=[listener])


class Server(uvicorn.Server):
    """uvicorn's server with the end that the module describes."""

    def __init__(
        self, config: uvicorn.Config, service: Service, announce: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._announce = announce
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the server runs; uvicorn would raise them again at its end."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Take a signal; see the module."""
        if not self.should_exit:
            self.should_exit = True
        elif self._loop is not None and not self._service.closing.is_cut:
            self._loop.call_soon_threadsafe(self._service.closing.cut)
        else:
            self.force_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is under way, within its time, and say what became of it."""
        closing, closing_s = self._service.closing, self._service.settings.closing_s
        self._loop = asyncio.get_running_loop()
        closing.begin()
        num_active = closing.num_active
        if num_active:
            console.say(
                f"stopping: {_requests(num_active)} under way, with up to {closing_s:g} s to "
                f"finish (serve.closing_s); Ctrl-C again ends them now"
            )
        cutting = self._loop.call_later(closing_s, closing.cut)
        await super().shutdown(sockets)
        cutting.cancel()
        finished = f": {_requests(closing.num_finished)} finished, {closing.num_cut} cut off"
        console.say(f"stopped{finished if num_active else ''}")


def _requests(count: int) -> str:
    return f"{count} request" if count == 1 else f"{count} requests"
