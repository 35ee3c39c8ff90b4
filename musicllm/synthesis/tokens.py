"""Tokens of a text without its tokenizer: about how many, and how many at most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from musicllm.data.records import Message

CHARS_PER_TOKEN = 4.0
"""Of English text and common tokenizers (OpenAI's rule of thumb: help.openai.com, 4936856)."""

FRAME_TOKENS = 8
"""About so many a template writes around a message."""

MOST_FRAME_TOKENS = 64
"""A template writes at most so many around a message, a system prompt of its own among them."""


def about(texts: Iterable[str]) -> int:
    """Return about how many tokens texts have: a character outside ASCII counts as a token."""
    total = 0.0
    for text in texts:
        num_ascii = len(text.encode("ascii", "ignore"))
        total += num_ascii / CHARS_PER_TOKEN + len(text) - num_ascii
    return round(total)


def about_prompt(messages: Sequence[Message]) -> int:
    """Return about how many tokens a conversation has."""
    return about(message["content"] for message in messages) + FRAME_TOKENS * len(messages)


def most(text: str) -> int:
    """Return how many tokens a text has at most: a token holds at least one byte."""
    return len(text.encode("utf-8", "replace"))


def most_of_prompt(messages: Sequence[Message]) -> int:
    """Return how many tokens a conversation has at most."""
    return sum(most(message["content"]) + MOST_FRAME_TOKENS for message in messages)
