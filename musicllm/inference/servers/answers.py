"""Completions in the answers of OpenAI's protocol, which come at once or in pieces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from musicllm.inference.requests import Completion
from musicllm.inference.servers import errors
from musicllm.inference.servers.http import Server, Session
from musicllm.inference.servers.parallel import Emit


def whole(server: Server, answer: Any) -> Completion:
    """Return the completion in an answer that came at once."""
    choice = _choice(server, answer)
    message = choice.get("message")
    text = choice.get("text") if message is None else message.get("content")
    return _completion(text or "", choice.get("finish_reason"), answer.get("usage"))


async def streamed(
    server: Server, session: Session, path: str, body: Mapping[str, Any], emit: Emit
) -> Completion:
    """Return the completion of an answer that comes in pieces, which are emitted."""
    body = {**body, "stream": True, "stream_options": {"include_usage": True}}
    pieces: list[str] = []
    reason, usage = None, None
    async for event in session.stream(path, body):
        usage = (event.get("usage") if isinstance(event, dict) else None) or usage
        if isinstance(event, dict) and event.get("choices") == []:
            continue  # the last event of a stream holds the usage alone
        choice = _choice(server, event)
        delta = choice.get("delta")
        piece = (choice.get("text") if delta is None else delta.get("content")) or ""
        reason = choice.get("finish_reason") or reason
        if piece:
            pieces.append(piece)
            emit(piece)
    if reason is None:
        raise errors.cut_off(server.label)
    return _completion("".join(pieces), reason, usage)


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
