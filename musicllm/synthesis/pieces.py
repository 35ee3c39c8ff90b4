"""The texts of records in pieces that a teacher can answer in one go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from musicllm import console
from musicllm.data.records import Record

_PARAGRAPH = re.compile(r"\n[ \t]*\n+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


class Piece(NamedTuple):
    """A text, or a part of one.

    Attributes:
        id: of its record; with a number if the record has several pieces.
        source: of its record.
        text: its words.
    """

    id: str
    source: str
    text: str


def pieces_of(records: Iterable[Record], max_chars: int, kind: str) -> Iterator[Piece]:
    """Yield the texts of records; what is too long is cut between paragraphs, else sentences.

    A conversation has no text of its own: it is left alone, and their number is printed.

    Args:
        records: any.
        max_chars: longest piece in characters; a sentence that is longer stays whole.
        kind: of the synthesis, for the message.
    """
    num_conversations = 0
    for record in records:
        if "text" not in record:
            num_conversations += 1
            continue
        texts = _cut(record["text"].strip(), max_chars)
        for number, text in enumerate(texts, start=1):
            name = str(record["id"]) if len(texts) == 1 else f"{record['id']}#{number}"
            yield Piece(name, str(record["source"]), text)
    if num_conversations:
        console.note(
            f"synthesis.kind={kind}: {num_conversations:,} conversations are left alone; it reads "
            "records of text"
        )


def _cut(text: str, max_chars: int) -> list[str]:
    if len(text) <= max_chars:
        return [text] if text else []
    pieces: list[str] = []
    for paragraph in _PARAGRAPH.split(text):
        if pieces and len(pieces[-1]) + len(paragraph) + 2 <= max_chars:
            pieces[-1] = f"{pieces[-1]}\n\n{paragraph}"
        elif len(paragraph) <= max_chars:
            pieces.append(paragraph)
        else:
            pieces += _sentences(paragraph, max_chars)
    return [piece for piece in map(str.strip, pieces) if piece]


def _sentences(text: str, max_chars: int) -> list[str]:
    pieces = [""]
    for sentence in _SENTENCE.split(text):
        joint = "" if not pieces[-1] or pieces[-1][-1] in "。！？" else " "
        if pieces[-1] and len(pieces[-1]) + len(joint) + len(sentence) > max_chars:
            pieces.append(sentence)
        else:
            pieces[-1] += joint + sentence
    return pieces
