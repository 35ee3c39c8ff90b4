"""Answers in OpenAI's forms: one JSON object, or server-sent events as a text is written."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from musicllm.errors import MusicLLMError
from musicllm.serve.api import errors
from musicllm.serve.api.closing import Closing
from musicllm.serve.api.service import Service
from musicllm.serve.api.texts import Collected, Text, TextEnd, Writings, until_cut, until_left

FINISHES: dict[TextEnd, str] = {
    "model": "stop",
    "stopped": "stop",
    "length": "length",
    "time": "length",
}
"""OpenAI's word for who ended a text."""

CLIENT_LEFT = 499
"""Status for the log; nobody reads it."""


@dataclass(frozen=True)
class Form:
    """The form of an answer.

    Attributes:
        kind: of the protocol: `chat` or `text` (completions).
        model: that writes.
        num_prompt_tokens: of all prompts; None if the engine cannot say.
        num_left_out: turns that the model does not see.
        includes_usage: a stream ends with the counts of tokens.
        echoes: text before the first piece of each choice.
    """

    kind: Literal["chat", "text"]
    model: str
    num_prompt_tokens: int | None
    num_left_out: int = 0
    includes_usage: bool = False
    echoes: Sequence[str] = ()
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def head(self, is_chunk: bool) -> dict[str, Any]:
        """Return the fields that every object begins with."""
        kind = "text_completion"
        if self.kind == "chat":
            kind = "chat.completion.chunk" if is_chunk else "chat.completion"
        prefix = "chatcmpl" if self.kind == "chat" else "cmpl"
        return {
            "id": f"{prefix}-{self.id}",
            "object": kind,
            "created": self.created,
            "model": self.model,
        }

    def chunk(self, index: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
        """Return an object of a stream with a piece; None begins or ends a text of a chat."""
        choice: dict[str, Any] = {"index": index, "logprobs": None, "finish_reason": finish}
        if self.kind == "text":
            choice["text"] = text or ""
        else:
            choice["delta"] = {} if text is None else {"content": text}
        usage = {"usage": None} if self.includes_usage else {}
        return {**self.head(True), "choices": [choice], **usage}

    def first(self, index: int) -> dict[str, Any]:
        """Return the object that begins a text of a stream."""
        echo = self.echoes[index] if self.echoes else ""
        chunk = self.chunk(index, echo)
        if self.kind == "chat":
            chunk["choices"][0]["delta"]["role"] = "assistant"
        return chunk

    def last(self, index: int, text: Text) -> dict[str, Any]:
        """Return the object that ends a text of a stream."""
        return {**self.chunk(index, None, FINISHES[text.end]), "musicllm": self.own(text)}

    def whole(self, texts: Sequence[Text]) -> dict[str, Any]:
        """Return an answer that is not streamed."""
        choices = [self._choice(index, text) for index, text in enumerate(texts)]
        usage = self.usage(texts)
        return {
            **self.head(False),
            "choices": choices,
            **({} if usage is None else {"usage": usage}),
            "musicllm": self.own(texts[0]),
        }

    def usage(self, texts: Sequence[Text]) -> dict[str, int] | None:
        """Return the counts of tokens; None if the engine does not count all of them."""
        counts = [text.num_new_tokens for text in texts]
        prompt = self.num_prompt_tokens
        if prompt is None and len(texts) == 1:
            prompt = texts[0].num_prompt_tokens
        if prompt is None or None in counts:
            return None
        new = sum(count or 0 for count in counts)
        return {"prompt_tokens": prompt, "completion_tokens": new, "total_tokens": prompt + new}

    def own(self, text: Text) -> dict[str, Any]:
        """Return what the protocol has no place for."""
        prompt = self.num_prompt_tokens
        return {
            "end": text.end,
            "seed": text.seed,
            "num_left_out": self.num_left_out,
            "num_prompt_tokens": text.num_prompt_tokens if prompt is None else prompt,
            **({} if text.breach is None else {"breach": text.breach}),
        }

    def _choice(self, index: int, text: Text) -> dict[str, Any]:
        content = (self.echoes[index] if self.echoes else "") + text.text
        choice: dict[str, Any] = {"index": index}
        if self.kind == "text":
            choice["text"] = content
        else:
            choice["message"] = {"role": "assistant", "content": content, "refusal": None}
        finish = {"logprobs": None, "finish_reason": FINISHES[text.end]}
        return {**choice, **finish, "musicllm": self.own(text)}


async def reply(
    request: Request, writings: Writings, form: Form, service: Service, *, is_streamed: bool
) -> Response:
    """Return the answer to a request whose texts are at the desk.

    Raises:
        MusicLLMError: what the engine raises, of an answer that is not streamed.
        ClosedError: the server is stopped before the answer is whole.
    """
    if is_streamed:
        return EventStream(writings, form, service.closing)
    collected = Collected(writings.count)
    try:
        work = until_cut(writings.follow(collected), service.closing)
        await until_left(work, request.receive)
    finally:
        await writings.close()
    if len(collected.texts) < writings.count:
        return Response(status_code=CLIENT_LEFT)
    return JSONResponse(form.whole(collected.texts))


class EventStream(Response):
    """Server-sent events: a comment while a request waits, an object for each piece, `[DONE]`.

    An error of the engine comes as an object with `error`, after which the stream ends.
    """

    def __init__(self, writings: Writings, form: Form, closing: Closing) -> None:
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        self._writings = writings
        self._closing = closing
        self._form = form
        self._begun: set[int] = set()
        self._texts: dict[int, Text] = {}

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, until the last or until the client leaves."""
        self._send = send
        try:
            await until_left(self._stream(), receive)
        finally:
            await self._writings.close()

    async def waiting(self, _index: int, position: int) -> None:
        """See `Listener`: a comment, which clients of the protocol pass over."""
        await self._raw(f": waiting {position}\n\n".encode())

    async def piece(self, index: int, text: str) -> None:
        """See `Listener`."""
        await self._begin(index)
        await self._event(self._form.chunk(index, text))

    async def done(self, index: int, text: Text) -> None:
        """See `Listener`."""
        await self._begin(index)
        self._texts[index] = text
        await self._event(self._form.last(index, text))

    async def _stream(self) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await self._send(start)
        try:
            await until_cut(self._writings.follow(self), self._closing)
        except Exception as error:
            await self._event(errors.body_of(error))
            if not isinstance(error, MusicLLMError):
                raise  # for the log
        else:
            if self._form.includes_usage:
                texts = [text for _, text in sorted(self._texts.items())]
                rest: dict[str, Any] = {"choices": [], "usage": self._form.usage(texts)}
                await self._event({**self._form.head(True), **rest})
            await self._raw(b"data: [DONE]\n\n")
        finally:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, index: int) -> None:
        if index not in self._begun:
            self._begun.add(index)
            await self._event(self._form.first(index))

    async def _event(self, value: object) -> None:
        await self._raw(b"data: " + orjson.dumps(value) + b"\n\n")

    async def _raw(self, content: bytes) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": True})
