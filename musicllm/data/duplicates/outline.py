"""Splits records into the parts that duplicates must share.

A conversation is a duplicate of another if its questions and its answers are. Many conversations
are about one tune or one passage, so a long shared text is no evidence: what differs is a short
question and a short answer. A conversation is therefore split:

- Its frame must be equal: the order of the turns, the system prompt, every answer of fewer than
  `SHORT_WORDS` words, and of questions all that is neither a long tune nor the inside of a long
  passage. White space is ignored, as is final punctuation of a segment.
- Its long parts, at most one per turn, are compared by MinHash, each with its counterpart.

With 5-grams of words, one changed word among fewer than 24 words leaves less than half of the
n-grams, so short texts must be equal at any similarity threshold. A plain text is one long part,
unless turns are written into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from musicllm.data.duplicates.signatures import exact_hash
from musicllm.data.records import Record
from musicllm.data.sources.conversations import turns_in
from musicllm.music.abc.finder import find_tunes

SHORT_WORDS = 24
"""Segments with fewer words must be equal."""

EDGE_CHARS = 80
"""Of both ends of a long piece of a question, where the question stands that a passage belongs to;
about one sentence."""

MAX_PARTS = 4
"""Of the turns with a long part, those behind the fourth are put to the first ones again."""

_PARAGRAPHS = re.compile(r"\n[ \t]*\r?\n")
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_STOPS = " .?!:。？！：\n"
_LONG, _TUNE = "\x00long", "\x00tune"


class Outline(NamedTuple):
    """The parts of a record for comparison.

    Attributes:
        frame: hash of what must be equal; 0 for a plain text.
        parts: texts that must be similar, at most `MAX_PARTS`; records with equal frames have
            equally many.
        around: hash of what stands around the record's tunes, which tells versions of a tune
            from two texts about it; 0 for a tune with fewer than `SHORT_WORDS` words around it.
    """

    frame: int
    parts: tuple[str, ...]
    around: int


def outline(record: Record) -> Outline:
    """Split a record. Linear in its text; costs about as much as its signature."""
    turns = _turns(record)
    if not turns:
        return Outline(0, (record["text"],), _around_text(list(_cut(record["text"]))))
    frame, parts, around = [], [], []
    for role, content in turns:
        segments = list(_cut(content))
        around += [role, *(_TUNE if is_tune else text for is_tune, text in segments)]
        short, long = _question(segments) if role == "user" else _other(role, content)
        frame += [role, *short]
        if long:
            parts.append("\n".join(long))
    merged = tuple("\n".join(parts[n::MAX_PARTS]) for n in range(min(MAX_PARTS, len(parts))))
    hash_around = exact_hash(around) if _TUNE in around else 0
    return Outline(exact_hash([*frame, str(len(parts))]), merged or ("",), hash_around)


def _turns(record: Record) -> Sequence[tuple[str, str]]:
    if "text" in record:
        return turns_in(record["text"])
    return [(message["role"], message["content"]) for message in record["messages"]]


def _cut(text: str) -> Iterator[tuple[bool, str]]:
    """Yield the tunes of a text and what stands between them: whether it is a tune, and it."""
    done = 0
    for tune in find_tunes(text):
        yield False, text[done : tune.start]
        yield True, text[tune.start : tune.stop]
        done = tune.stop
    yield False, text[done:]


def _around_text(segments: Sequence[tuple[bool, str]]) -> int:
    outside = [text for is_tune, text in segments if not is_tune]
    if len(outside) == len(segments) or _is_short("\n".join(outside)):
        return 0
    return exact_hash(outside)


def _question(segments: Sequence[tuple[bool, str]]) -> tuple[list[str], list[str]]:
    """Return the texts of a question that must be equal, and those that must be similar."""
    short, long = [], []
    for is_tune, text in segments:
        if _is_short(text):
            short.append(_plain(text))
        elif is_tune:
            short.append(_LONG)
            long.append(text)
        else:
            plain = _plain(text)
            short += [plain[:EDGE_CHARS], plain[-EDGE_CHARS:]]
            for block in _blocks(text):
                (short if _is_short(block) else long).append(_plain(block))
    return short, long


def _other(role: str, content: str) -> tuple[list[str], list[str]]:
    """Return the same for an answer or a system prompt, which is not split."""
    if role == "system" or _is_short(content):
        return [_plain(content)], []
    return [_LONG], [content]


def _blocks(text: str) -> Iterator[str]:
    """Yield the paragraphs of a text, split into lines if these are long."""
    for paragraph in _PARAGRAPHS.split(text):
        lines = paragraph.splitlines()
        if len(lines) > 1 and not all(map(_is_short, lines)):
            yield from lines
        else:
            yield paragraph


def _is_short(text: str) -> bool:
    """Return whether a text has fewer than `SHORT_WORDS` words; reads only its beginning."""
    if len(text) < SHORT_WORDS:
        return True
    num_words = len(text.split(None, SHORT_WORDS))
    if not text.isascii():
        num_words += sum(1 for _ in islice(_IDEOGRAPH.finditer(text), SHORT_WORDS))
    return num_words < SHORT_WORDS


def _plain(text: str) -> str:
    return " ".join(text.split()).strip(_STOPS)
