"""Completions in the answers of OpenAI's protocol, which come at once or in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.inference.requests import Completion
from musicllm.inference.servers import errors
from musicllm.inference.servers.http import Server, Session
from musicllm.inference.servers.parallel import Emit


class Written:
    """What a server has written of one text so far.

    Args:
        emit: takes the pieces.

    Attributes:
        num_new_tokens: as the server counts; 0 as long as it does not say.
        num_prompt_tokens: likewise.
    """

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._pieces: list[str] = []
        self.num_new_tokens = self.num_prompt_tokens = 0

    def add(self, piece: str) -> None:
        """Take a piece."""
        self._pieces.append(piece)
        self._emit(piece)

    def count(self, usage: Mapping[str, Any]) -> None:
        """Take the tokens as OpenAI's protocol counts them."""
        self.num_new_tokens = int(usage.get("completion_tokens") or 0)
        self.num_prompt_tokens = int(usage.get("prompt_tokens") or 0)

    def completion(self, *, finished: bool) -> Completion:
        """Return the text as it is.

        Args:
            finished: the end token came.
        """
        text = "".join(self._pieces)
        return Completion(text, self.num_new_tokens, finished, self.num_prompt_tokens)


def whole(server: Server, answer: Any) -> Completion:
    """Return the completion in an answer that came at once."""
    choice = _choice(server, answer)
    message = choice.get("message")
    text = choice.get("text") if message is None else message.get("content")
    return _completion(text or "", choice.get("finish_reason"), answer.get("usage"))


async def streamed(
    server: Server, session: Session, path: str, body: Mapping[str, Any], written: Written
) -> Completion:
    """Return the completion of an answer that comes in pieces, which are added to what is written.

    Args:
        server: that answers.
        session: with it.
        path: of the request.
        body: of the request; `stream_options` are added to its own.
        written: takes the pieces.
    """
    options = {"include_usage": True, **body.get("stream_options", {})}
    reason = None
    async for event in session.stream(path, {**body, "stream": True, "stream_options": options}):
        if isinstance(event, dict) and event.get("usage"):
            written.count(event["usage"])
        if isinstance(event, dict) and event.get("choices") == []:
            continue  # the last event of a stream holds the usage alone
        choice = _choice(server, event)
        delta = choice.get("delta")
        piece = (choice.get("text") if delta is None else delta.get("content")) or ""
        reason = choice.get("finish_reason") or reason
        if piece:
            written.add(piece)
    if reason is None:
        raise errors.cut_off(server.label)
    return written.completion(finished=reason == "stop")


def _choice(server: Server, answer: Any) -> dict[str, Any]:
    try:
        choice = answer["choices"][0]
    except (TypeError, KeyError, IndexError):
        choice = None
    if not isinstance(choice, dict):
        raise errors.rubbish(server.label, str(answer))
    return choice


def _completion(text: str, reason: str | None, usage: Mapping[str, Any] | None) -> Completion:
    usage = usage or {}
    return Completion(
        text,
        int(usage.get("completion_tokens") or 0),
        finished=reason == "stop",
        num_prompt_tokens=int(usage.get("prompt_tokens") or 0),
    )
