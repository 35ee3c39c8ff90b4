"""Rows of tokens as readable text: supervised tokens, document boundaries, and tunes.

The result is text with styles, for a terminal, or with marks, for a file. Untrusted text
is never parsed as markup, and control characters are escaped.
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
from musicllm.music.abc import Score
from musicllm.music.abc.limits import DEFAULT_LIMITS
from musicllm.music.render.staff import NAMES, WIDTH, describe, staff
from musicllm.schema import MusicConfig

SUPERVISED = ("green", "bold green")
UNSUPERVISED = ("none", "bright_black")
"""Alternating styles, so that neighbouring tokens can be told apart."""

SPECIAL = "reverse"
OPENING, CLOSING = "[[", "]]"
"""Marks around supervised tokens, where there are no colours."""

ANY_TUNE = MusicConfig(
    check=True,
    repair=True,
    normalize=False,
    on_fault="keep",
    min_share_fitting=0.0,
    min_bars=0,
    min_notes=0,
    max_bars=DEFAULT_LIMITS.max_bars,
    max_tune_chars=DEFAULT_LIMITS.max_tune_chars,
)
"""Show every tune that parses, since this is for inspection."""

_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


@dataclass(frozen=True)
class TokenText:
    """The text of one token; empty if it ends inside a character, which the next token then has."""

    text: str
    supervised: bool
    special: bool


def visible(text: str) -> str:
    """Escape control and invisible characters, except line feeds and tabs.

    Terminal control sequences, bidirectional marks and similar become, for example, `<U+001B>`.
    """
    return "".join(
        f"<U+{ord(char):04X}>"
        if char not in "\n\t" and unicodedata.category(char) in _INVISIBLE
        else char
        for char in text
    )


def visible_line(text: str) -> str:
    """Escape as `visible` does, line feeds and tabs too: what is shown on one line."""
    return visible(text).replace("\n", "<U+000A>").replace("\t", "<U+0009>")


def token_texts(
    tokenizer: PreTrainedTokenizerBase, input_ids: Sequence[int], supervised: Sequence[bool]
) -> list[TokenText]:
    """Return the text of each token; joined, they are the text of the sequence.

    Each token is decoded together with the previous ones, since its text depends on them (blanks,
    characters of several tokens). Linear in the number of tokens.
    """
    special = set(tokenizer.all_special_ids)
    texts = []
    before = start = 0  # tokens before `start` are done; decode again from `before`
    for place, token in enumerate(input_ids):
        done = _decode(tokenizer, input_ids[before:start])
        text = _decode(tokenizer, input_ids[before : place + 1])
        is_whole = not text.endswith("\N{REPLACEMENT CHARACTER}") or place + 1 == len(input_ids)
        if is_whole:
            before, start = start, place + 1
        new = text[len(done) :] if is_whole else ""
        texts.append(TokenText(visible(new), bool(supervised[place]), token in special))
    return texts


def show_row(
    row: Row,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    *,
    num_bars: int,
    marks: bool,
) -> Text:
    """Return a row as text: for each document a header with counts, its tokens, and its tunes.

    Args:
        row: tokens of one or more documents.
        tokenizer: of the tokens.
        sources: names, indexed by `row.source`.
        num_bars: bars to draw of each tune.
        marks: enclose supervised tokens in `[[` and `]]`, for output without colours.
    """
    result = Text()
    start = 0
    for number, length in enumerate(row.document_lengths.tolist()):
        span = slice(start, start + length)
        ids, supervised = row.input_ids[span].tolist(), row.supervised[span].tolist()
        place = f"document {number + 1} of {len(row.document_lengths)}"
        counts = f"{length:,} tokens, {sum(supervised):,} supervised"
        source = visible(sources[row.source[number]])
        result.append(f"── {place} · {source} · {counts} ──\n", style="bold")
        for text, style in _styled(token_texts(tokenizer, ids, supervised), marks):
            result.append(text, style=style)
        result.append("\n")
        for line in _tunes(tokenizer.decode(ids, skip_special_tokens=True), num_bars):
            result.append(f"{line}\n", style="cyan")
        start += length
    return result


def draw_tune(score: Score, num_bars: int, width: int = NAMES + WIDTH) -> list[str]:
    """Return lines: the description of a tune, and its first bars on a staff of `width` columns."""
    lines = staff(score, num_bars, max(1, min(width, NAMES + WIDTH) - NAMES))
    return [f"♪ {visible(describe(score))}", *lines]


def _tunes(text: str, num_bars: int) -> Iterator[str]:
    examined = examine({"id": "", "source": "", "text": text}, ANY_TUNE)
    for score in () if isinstance(examined, Drop) else examined.scores:
        yield from draw_tune(score, num_bars)


def _styled(tokens: Sequence[TokenText], marks: bool) -> Iterator[tuple[str, str]]:
    """Yield texts with their styles, and marks around each run of supervised tokens."""
    number = 0
    for supervised, run in groupby(tokens, key=lambda token: token.supervised):
        if supervised and marks:
            yield OPENING, ""
        for token in run:
            style = (SUPERVISED if supervised else UNSUPERVISED)[number % 2]
            yield token.text, f"{SPECIAL} {style}" if token.special else style
            number += 1
        if supervised and marks:
            yield CLOSING, ""


def _decode(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return str(text)
