"""An engine that answers from a list, and counts a token for each character of a message."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from musicllm.errors import InputError
from musicllm.inference.requests import Completion, SamplingSettings, WritingRequest
from musicllm.music.grammar import TuneRules
from musicllm.serve.chat.answering import Manner
from musicllm.serve.chat.conversation import Conversation

SETTINGS = SamplingSettings(
    temperature=0.8, top_k=0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=100
)

Reply = str | BaseException | tuple[str, BaseException]
"""A text; an error; or a text after which the error comes."""


class Scripted:
    """Each request takes the next reply; the last one answers all others.

    Attributes:
        requests: what was wanted, in order.
        system: what the chat template does with a system prompt.
    """

    def __init__(
        self, *replies: Reply, context: int | None = 1000, counts: bool = True, system: str = "kept"
    ) -> None:
        self.context = context
        self.requests: list[WritingRequest] = []
        self.closed = False
        self.system = system
        self._replies = list(replies)
        self._counts = counts

    def count_tokens(self, messages: Sequence[Any]) -> int | None:
        if not self._counts:
            return None
        if self.system == "refused" and messages[0]["role"] == "system":
            raise InputError("the chat template says: no system")
        left_out = ("system",) if self.system == "left out" else ()
        return sum(len(m["content"]) for m in messages if m["role"] not in left_out)

    def write(
        self,
        requests: Sequence[WritingRequest],
        on_piece: Callable[[int, str], None] | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        for index, request in enumerate(requests):
            self.requests.append(request)
            reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
            text, error = reply if isinstance(reply, tuple) else (reply, None)
            if isinstance(text, BaseException):
                raise text
            written = text[: request.settings.max_new_tokens]
            for start in range(0, len(written), 7):
                if on_piece is not None:
                    on_piece(index, written[start : start + 7])
            if error is not None:
                raise error
            yield index, Completion(written, len(written), written == text, 1)

    def close(self) -> None:
        self.closed = True

    @property
    def seen(self) -> list[str]:
        """The contents that the last request shows to the model."""
        messages = self.requests[-1].messages
        assert messages is not None
        return [message["content"] for message in messages]


def conversation(engine: Scripted, *, system: str | None = None, seed: int = 7) -> Conversation:
    return Conversation(engine, Manner(system, SETTINGS, None, TuneRules(key="D")), seed=seed)
