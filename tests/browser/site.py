"""A server of the page in this process, with engines that write what a test says."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from musicllm.data.records import Message
from musicllm.inference.engines import OnPiece
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.schema import ServeConfig
from musicllm.serve.api.app import build_app
from musicllm.serve.api.service import ServedModel, Service
from musicllm.serve.desk import DeskLimits
from tests.waiting import wait_for

TUNE = """X:1
T:The Kettle
M:6/8
L:1/8
K:G
|: GAB c2d | e2d B2G | A2B c2A | BAG G3 :|
|: d2e f2g | e2d B2G | A2B c2A | BAG G3 :|
"""
"""A jig in G major of eight bars, all of which fit."""

Script = Callable[[WritingRequest], str]
"""What is written for a request."""


def kettle(request: WritingRequest) -> str:
    """Answer every message with words and a tune."""
    return f"Here is a jig.\n\n{TUNE}\nDo you like it?"


@dataclass
class ScriptedEngine:
    """Writes what a script says, a few characters at a time.

    Attributes:
        script: says it.
        pause_s: between pieces.
        holds: numbers of characters behind which it waits for a call of `go_on` each.
        context: of the model.
        requests: that were written.
    """

    script: Script = kettle
    pause_s: float = 0.0
    holds: Sequence[int] = ()
    context: int | None = 4096
    requests: list[WritingRequest] = field(default_factory=list)
    _signals: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def go_on(self) -> None:
        """End a wait, or the next one."""
        self._signals.release()

    def count_tokens(self, prompt: Sequence[Message] | str) -> int:
        texts = [prompt] if isinstance(prompt, str) else [one["content"] for one in prompt]
        return sum(len(text) for text in texts) // 4 + len(texts)

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        for number, request in enumerate(requests):
            self.requests.append(request)
            text = self.script(request)
            for start in range(0, len(text), 7):
                if on_piece is not None:
                    on_piece(number, text[start : start + 7])
                for _ in (hold for hold in self.holds if start < hold <= start + 7):
                    assert self._signals.acquire(timeout=60), "nobody called go_on"
                time.sleep(self.pause_s)
            yield number, Completion(text, len(text) // 4, finished=True, num_prompt_tokens=10)

    def close(self) -> None:
        """Hold nothing."""


SETTINGS = ServeConfig(
    host="127.0.0.1",
    port=0,
    api_key_env="MUSICLLM_API_KEY",
    num_waiting=8,
    time_limit_s=60.0,
    max_new_tokens=1024,
    max_body_mb=1.0,
    closing_s=10.0,
    preferences=None,
    open_browser=False,
)

SAMPLING = SamplingSettings(
    temperature=0.8, top_k=0, top_p=0.95, repetition_penalty=1.0, max_new_tokens=512
)


def service_of(
    engines: Mapping[str, Any], preferences: Path | None = None, **changes: Any
) -> Service:
    """Return a service of engines by name; `changes` are fields of `Service`."""
    limits = DeskLimits(SETTINGS.num_waiting, SETTINGS.time_limit_s)
    models = {
        name: ServedModel(name, lambda engine=engine: engine, True, limits)
        for name, engine in engines.items()
    }
    values: dict[str, Any] = {
        "settings": SETTINGS,
        "sampling": SAMPLING,
        "system": None,
        "rules": TuneRules(),
        "uses_grammar": False,
        "seed": 1,
        "page": True,
        "key": None,
    }
    return Service(models=models, preferences=preferences, **(values | changes))


@contextmanager
def served(service: Service, *, waits: bool = True) -> Iterator[str]:
    """Serve, and yield the address; the models are loaded, unless it does not wait for them."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(build_app(service), log_level="warning", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    if waits:
        wait_for(lambda: all(model.state == "ready" for model in service.models.values()))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
