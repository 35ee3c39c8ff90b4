"""Fits a conversation and its answer into the context of a model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from musicllm.data.records import Message
from musicllm.errors import InputError

Count = Callable[[Sequence[Message]], int | None]


class Fit(NamedTuple):
    """What the model sees of a conversation.

    Attributes:
        messages: without the turns that are left out.
        num_tokens: of the messages in the chat template; None if the engine cannot say.
        num_left_out: the oldest turns, which do not fit the context.
        max_new_tokens: how long the answer may be.
    """

    messages: tuple[Message, ...]
    num_tokens: int | None
    num_left_out: int
    max_new_tokens: int


def fit(
    count: Count,
    head: Sequence[Message],
    turns: Sequence[Sequence[Message]],
    last: Sequence[Message],
    *,
    context: int | None,
    longest: int,
) -> Fit:
    """Leave the oldest turns out until there is room for an answer.

    That is `longest`, or half the context if it is less; without any turn the answer may be as long
    as there is room.

    Args:
        count: returns the tokens of messages.
        head: messages that stay, such as a system prompt.
        turns: before the last message, the oldest first.
        last: messages that stay at the end.
        context: of the model (tokens); None sets no limit.
        longest: of the answer (tokens).

    Raises:
        InputError: there is no room for an answer even without turns.
    """

    def shown(first: int) -> tuple[Message, ...]:
        return (*head, *(message for turn in turns[first:] for message in turn), *last)

    num_tokens = count(shown(0))
    if context is None or num_tokens is None:
        return Fit(shown(0), num_tokens, 0, longest)
    room = context - min(longest, context // 2)
    first = 0
    if num_tokens > room:
        first = bisect_left(range(len(turns)), True, key=lambda n: (count(shown(n)) or 0) <= room)
    messages = shown(first)
    num_tokens = count(messages) or 0
    if num_tokens >= context:
        raise InputError(
            f"the message is too long: it has {num_tokens} tokens with the chat template and "
            f"the system prompt, and the context of the model, which the answer shares, "
            f"{context}; shorten it"
        )
    return Fit(messages, num_tokens, first, min(longest, context - num_tokens))
