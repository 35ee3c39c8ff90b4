"""Rows of tokens as a person reads them: what is supervised, where documents end, which tunes.

Everything comes back as text with styles, for a terminal, or with marks, for a file. Texts of
others are never read as markup, and what could steer a terminal is written out.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text
from transformers import PreTrainedTokenizerBase

from musicllm.data.music import examine
from musicllm.data.records import Drop
from musicllm.data.rows import Row
from musicllm.data.settings import MusicPolicy
from musicllm.music.abc import Score
from musicllm.music.render.staff import describe, staff

SUPERVISED = ("green", "bold green")
UNSUPERVISED = ("none", "bright_black")
"""Styles of tokens, in turn, so that each can be told from its neighbour."""

SPECIAL = "reverse"
OPENING, CLOSING = "[[", "]]"
"""Round supervised tokens, where there are no colours."""

ANY_TUNE = MusicPolicy(on_fault="keep", min_share_fitting=0.0, min_bars=0, min_notes=0)
"""What is shown of tunes: all that can be read, since this is for looking at them."""

_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


@dataclass(frozen=True)
class Piece:
    """One token as text; one that ends inside a character is empty, its successor holds it."""

    text: str
    supervised: bool
    special: bool


def visible(text: str) -> str:
    """Return a text whose control and invisible characters, but for line feeds, are written out.

    Terminal control sequences, reversed reading order and the like become such as `<U+001B>`.
    """
    return "".join(
        f"<U+{ord(char):04X}>"
        if char not in "\n\t" and unicodedata.category(char) in _HIDDEN
        else char
        for char in text
    )


def pieces(
    tokenizer: PreTrainedTokenizerBase, input_ids: Sequence[int], supervised: Sequence[bool]
) -> list[Piece]:
    """Return the text of every token, so that together they are the text of all.

    Each token is decoded with the few before it, since what it is depends on them (blanks,
    characters of several tokens). Linear in the number of tokens.
    """
    special = set(tokenizer.all_special_ids)
    found = []
    before = start = 0  # what is told already ends at `start`; it is decoded again from `before`
    for place, token in enumerate(input_ids):
        told = _decode(tokenizer, input_ids[before:start])
        text = _decode(tokenizer, input_ids[before : place + 1])
        is_whole = not text.endswith("\N{REPLACEMENT CHARACTER}") or place + 1 == len(input_ids)
        if is_whole:
            before, start = start, place + 1
        new = text[len(told) :] if is_whole else ""
        found.append(Piece(visible(new), bool(supervised[place]), token in special))
    return found


def show_row(
    row: Row,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    *,
    num_bars: int,
    marks: bool,
) -> Text:
    """Return a row: for each document a border with its counts, its tokens, and its tunes.

    Args:
        row: tokens of one or more documents.
        tokenizer: that made them.
        sources: names, by the numbers in `row.source`.
        num_bars: bars drawn of each tune.
        marks: put supervised tokens between `[[` and `]]`, for where there are no colours.
    """
    shown = Text()
    start = 0
    for number, length in enumerate(row.document_lengths.tolist()):
        span = slice(start, start + length)
        ids, supervised = row.input_ids[span].tolist(), row.supervised[span].tolist()
        place = f"document {number + 1} of {len(row.document_lengths)}"
        counts = f"{length:,} tokens, {sum(supervised):,} supervised"
        source = visible(sources[row.source[number]])
        shown.append(f"── {place} · {source} · {counts} ──\n", style="bold")
        for text, style in _styled(pieces(tokenizer, ids, supervised), marks):
            shown.append(text, style=style)
        shown.append("\n")
        for line in _tunes(tokenizer.decode(ids, skip_special_tokens=True), num_bars):
            shown.append(f"{line}\n", style="cyan")
        start += length
    return shown


def draw_tune(score: Score, num_bars: int) -> list[str]:
    """Return the description of a tune and its first bars on a staff, as lines."""
    return [f"♪ {visible(describe(score))}", *staff(score, num_bars)]


def _tunes(text: str, num_bars: int) -> Iterator[str]:
    examined = examine({"id": "", "source": "", "text": text}, ANY_TUNE)
    for score in () if isinstance(examined, Drop) else examined.scores:
        yield from draw_tune(score, num_bars)


def _styled(found: Sequence[Piece], marks: bool) -> Iterator[tuple[str, str]]:
    """Yield texts with their styles, and marks round each run of supervised tokens."""
    number = 0
    for supervised, run in groupby(found, key=lambda piece: piece.supervised):
        if supervised and marks:
            yield OPENING, ""
        for piece in run:
            style = (SUPERVISED if supervised else UNSUPERVISED)[number % 2]
            yield piece.text, f"{SPECIAL} {style}" if piece.special else style
            number += 1
        if supervised and marks:
            yield CLOSING, ""


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return str(text)
