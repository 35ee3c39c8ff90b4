"""What flows from a source to the rows: records, and the entries for those that were left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Message = Mapping[str, Any]
"""`role` (system, user, assistant, or another that a template knows) and `content`. `tools` of the
first message are JSON schemas of functions, which a template is rendered with; further keys are not
shown to it."""

Record = dict[str, Any]
"""One document: `id` (unique in a corpus), `source`, and `text` or `messages`.

`messages` is a list of `{"role": "system" | "user" | "assistant", "content": str}`; what the
assistant says is learned unless its message also has `"weight": 0`. Records of instruction families
also have `task` and `conditions`.
"""

SPLITS = ("train", "validation", "test")
HELD_OUT = ("validation", "test")
"""Splits that nothing is trained on; a later one is the more strictly so."""

KINDS = ("knowledge", "scores")

Kind = Literal["scores", "knowledge"]
"""What a record is about: `scores` when it holds a tune in ABC, else `knowledge`."""


def texts_of(record: Record) -> list[str]:
    """Return the text of a record, or the contents of its messages, in order."""
    if "text" in record:
        return [record["text"]]
    return [message["content"] for message in record["messages"]]


def question_of(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the messages of a conversation up to the first of the user, a system prompt too."""
    messages: list[Mapping[str, Any]] = record["messages"]
    return messages[: 2 if messages[0]["role"] == "system" else 1]


def is_masked(message: Mapping[str, Any]) -> bool:
    """Whether the assistant says this, but a model is not to learn it."""
    return message.get("weight") == 0


@dataclass(frozen=True)
class Drop:
    """A record that was left out.

    Attributes:
        source: name of the source.
        place: where it stands, such as `file.abc:12`, or a record's id.
        reason: one of a few, to be counted; it continues the sentence "the record ...".
        detail: what exactly is wrong with this one.
        is_fault: whether something is wrong with the record itself. Faults count against
            `data.max_reject_fraction`; leftovers (a duplicate of a record that stays) do not.
    """

    source: str
    place: str
    reason: str
    detail: str
    is_fault: bool = True
