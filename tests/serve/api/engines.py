"""Engines whose writing a test steers, and a client of OpenAI's library for their server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from musicllm.data.records import Message
from musicllm.inference.engines import OnPiece
from musicllm.inference.requests import Completion, WritingRequest

Script = Callable[[WritingRequest], str]


def echo(request: WritingRequest) -> str:
    """Answer with what was said, or with what is continued."""
    if request.messages is None:
        return f" and so on after {request.text}"
    return f"You said: {request.messages[-1]['content']}"


@dataclass
class Steered:
    """Writes a script three characters at a time, a token each; waits while `goes` is cleared.

    Attributes:
        requests: that were begun.
        num_pieces: written in all.
        num_ended_early: texts whose reader ended them.
        error: raised in the middle of every text.
        pause_s: before every piece (seconds).
    """

    script: Script = echo
    context: int | None = 1000
    counts: bool = True
    error: Exception | None = None
    pause_s: float = 0.0
    requests: list[WritingRequest] = field(default_factory=list)
    num_pieces: int = 0
    num_ended_early: int = 0
    closed: bool = False
    goes: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.goes.set()

    def count_tokens(self, prompt: Sequence[Message] | str) -> int | None:
        if not self.counts:
            return None
        texts = [prompt] if isinstance(prompt, str) else [own["content"] for own in prompt]
        return sum(map(len, texts)) + 10 * (not isinstance(prompt, str))

    def write(
        self, requests: Sequence[WritingRequest], on_piece: OnPiece | None = None
    ) -> Iterator[tuple[int, Completion]]:
        for index, request in enumerate(requests):
            self.requests.append(request)
            text = self.script(request)
            longest = 3 * request.settings.max_new_tokens
            written = text[:longest]
            for start in range(0, len(written), 3):
                self.goes.wait()
                time.sleep(self.pause_s)
                if self.error is not None:
                    raise self.error
                self._tell(on_piece, index, written[start : start + 3])
            count = self.count_tokens(request.messages or request.text or "") or 0
            size = -(-len(written) // 3) if self.counts else 0
            yield index, Completion(written, size, written == text, count)

    def close(self) -> None:
        self.closed = True

    def _tell(self, on_piece: OnPiece | None, index: int, piece: str) -> None:
        self.num_pieces += 1
        if on_piece is not None:
            try:
                on_piece(index, piece)
            except BaseException:
                self.num_ended_early += 1
                raise


def client_of(address: str, key: str = "none") -> Any:
    """Return OpenAI's client, which tries nothing twice."""
    import openai

    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)


def said(text: str) -> list[dict[str, str]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": text}]
