"""A small HTTP server that speaks OpenAI's protocol, and misbehaves as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class StallError(Exception):
    """Raised by an answer that never comes."""


@dataclass
class Stub:
    """What the server does, and what it was asked.

    Attributes:
        answers: called with (path, body, number of the request from 1) for every POST; returns
            (status, headers, body), or a list of (event or raw bytes) for a stream.
        models: the list of models; None answers 404.
        key: that it wants; None wants none.
        requests: (path, body, headers) of every POST.
    """

    answers: Callable[[str, dict[str, Any], int], Any]
    models: list[dict[str, Any]] | None = field(
        default_factory=lambda: [{"id": "bard", "owned_by": "someone"}]
    )
    key: str | None = None
    requests: list[tuple[str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    url: str = ""
    most_at_a_time: int = 0
    _active: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    ended: threading.Event = field(default_factory=threading.Event)


def chat(text: str, reason: str = "stop", **more: Any) -> tuple[int, dict[str, str], Any]:
    """Return a whole answer of /chat/completions."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": reason,
    }
    usage = {"prompt_tokens": 7, "completion_tokens": len(text)}
    return 200, {}, {"choices": [choice], "usage": usage, **more}


def text(content: str, reason: str = "stop") -> tuple[int, dict[str, str], Any]:
    """Return a whole answer of /completions."""
    choice = {"index": 0, "text": content, "finish_reason": reason}
    return 200, {}, {"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 5}}


def delta(content: str | None, reason: str | None = None) -> dict[str, Any]:
    """Return an event of a streamed chat."""
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": reason}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


class _Handler(BaseHTTPRequestHandler):
    stub: Stub

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        if not self._may():
            return
        if self.path.endswith("/models") and self.stub.models is not None:
            self._send(200, {}, {"object": "list", "data": self.stub.models})
        else:
            self._send(404, {}, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._may():
            return
        with self.stub._lock:
            self.stub.requests.append((self.path, body, dict(self.headers)))
            number = len(self.stub.requests)
            self.stub._active += 1
            self.stub.most_at_a_time = max(self.stub.most_at_a_time, self.stub._active)
        try:
            answer = self.stub.answers(self.path, body, number)
            if isinstance(answer, list):
                self._stream(answer)
            else:
                self._send(*answer)
        except StallError:
            self.stub.ended.wait(20)
        finally:
            with self.stub._lock:
                self.stub._active -= 1

    def _may(self) -> bool:
        if self.stub.key is None or self.headers.get("Authorization") == f"Bearer {self.stub.key}":
            return True
        self._send(401, {}, {"error": {"message": "Incorrect API key provided"}})
        return False

    def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, events: list[Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in events:
            if event == "stall":
                raise StallError
            content = event if isinstance(event, bytes) else f"data: {json.dumps(event)}\n\n"
            self.wfile.write(content if isinstance(content, bytes) else content.encode())
            self.wfile.flush()
            time.sleep(0.005)
        self.close_connection = True


@contextmanager
def serving(stub: Stub) -> Iterator[Stub]:
    """Run the server on this machine until the end of the block."""

    handler = type("Handler", (_Handler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield stub
    finally:
        stub.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
